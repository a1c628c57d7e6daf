import dataclasses
import random
import resource
import sqlite3
from pathlib import Path

import pytest
from class_labels import as_label

from dgaal_cli.errors import BusyError, StorageError, StoreChangedError, WorkspaceError
from dgaal_cli.store.open import open_store, store_location
from dgaal_cli.store.records import ImportedLabel
from dgaal_cli.store.sqlite import backups, deltas, schema, watch


def test_backup_is_a_complete_store(asked, clock):
    asked.submit("sam", "label", 3, asked.cat)
    copy = asked.store.back_up()
    assert copy.name == "labels-000001-20231114T221320-000000Z-manual.db"
    assert backups.verify(copy) == 1
    asked.submit("sam", "label", 1, asked.dog)
    with open_store(copy, clock=clock) as old:
        assert {label.item_id for label in old.labels()} == {3}
        assert old.open_query().round == 0


def test_store_replaced_during_a_backup_is_named(asked, path, tmp_path, monkeypatch):
    asked.store.back_up()
    asked.submit("sam", "label", 3, asked.cat)
    read = deltas.read
    monkeypatch.setattr(watch, "RECHECK_S", -1.0)  # each read looks at the path

    def read_and_replace(delta: Path) -> deltas.Delta:
        (tmp_path / "other.db").write_bytes(path.read_bytes())
        (tmp_path / "other.db").replace(path)
        return read(delta)

    monkeypatch.setattr(deltas, "read", read_and_replace)
    with pytest.raises(StoreChangedError, match="was replaced by another file"):
        asked.store.back_up()


def test_only_the_newest_full_copies_are_kept(store, clock):
    for _ in range(7):
        store.back_up(is_full=True)
        clock.now += 1
    names = [copy.name for copy in backups.existing(store.database.path)]
    assert len(names) == backups.KEPT
    assert names[0].startswith("labels-000007-20231114T221326")
    assert names[-1].startswith("labels-000003-20231114T221322")


def test_backups_without_number_are_older_and_sorted_by_events(asked, path):
    made: list[Path] = []
    for item, year in ((3, 2031), (1, 2029), (2, 2030)):
        asked.submit("sam", "label", item, asked.cat)
        old = asked.store.back_up(is_full=True)
        made.append(old.rename(old.with_name(f"labels-{year}1114T221320-000000Z-manual.db")))
    newest = asked.store.back_up()
    assert newest.name.startswith("labels-000001-")
    assert backups.existing(path) == [newest, *reversed(made)]


def test_backups_with_one_number_are_sorted_by_events(asked, path):
    first = asked.store.back_up()
    asked.submit("sam", "label", 3, asked.cat)
    second = asked.store.back_up(is_full=True)
    second = second.rename(first.with_name("labels-000001-19990101T000000-000000Z-manual.db"))
    assert backups.existing(path) == [second, first]


def test_import_backs_up_existing_labels_first(asked):
    folder = backups.folder_of(asked.store.database.path)
    line = ImportedLabel(sample_id="4.png", label=as_label(asked.cat), annotator="ext")
    asked.store.import_labels([line])
    assert not folder.exists()  # nothing to lose yet
    asked.store.import_labels([line])
    (copy,) = folder.iterdir()
    assert copy.name.endswith("-import.db")
    assert backups.verify(copy) == 1


def test_answers_are_backed_up_after_every_n_events(asked, monkeypatch, path):
    monkeypatch.setattr(backups, "EVERY", 2)
    asked.submit("sam", "label", 3, asked.cat)
    assert backups.existing(path) == []
    asked.submit("sam", "label", 1, asked.cat)
    assert [backups.verify(copy) for copy in backups.existing(path)] == [2]
    asked.store.submit_many(
        [asked.answer("label", item, asked.dog) for item in (2, 4, 5)], annotator="o", session="s"
    )
    assert [backups.verify(copy) for copy in backups.existing(path)] == [5, 2]


def test_failed_backup_does_not_fail_the_answer(asked, monkeypatch, path):
    monkeypatch.setattr(backups, "EVERY", 1)
    (path.parent / "backups").write_text("in the way")
    receipt = asked.submit("sam", "label", 3, asked.cat)
    assert receipt.event_id == 1
    assert "cannot write a backup" in asked.store.backup_problem
    with pytest.raises(StorageError):
        asked.store.back_up()


@pytest.mark.parametrize(
    "error",
    [BusyError("held by process 1"), OSError(5, "Input/output error"), sqlite3.OperationalError()],
)
def test_no_error_of_a_backup_fails_the_answer(asked, monkeypatch, error):
    def fail(*args, **kwargs):
        raise error

    monkeypatch.setattr(backups, "EVERY", 1)
    monkeypatch.setattr(backups, "make", fail)
    assert asked.submit("sam", "label", 3, asked.cat).event_id == 1
    assert asked.store.undo("sam", "s").event_id == 2
    assert asked.store.backup_problem == str(error)


def test_backup_succeeds_when_an_old_one_cannot_be_removed(asked, monkeypatch, clock):
    def fail(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "unlink", fail)
    for _ in range(backups.KEPT + 1):
        clock.now += 1
        made = asked.store.back_up()
    assert backups.verify(made) == 0


def test_unreadable_new_backup_raises_storage_error(asked, monkeypatch, path):
    def fail(copy):
        raise WorkspaceError(f"{copy} cannot be opened")

    monkeypatch.setattr(backups, "verify", fail)
    with pytest.raises(StorageError, match="cannot be read back"):
        asked.store.back_up()
    assert list(backups.folder_of(path).iterdir()) == []


def test_verify_refuses_damaged_backup(store):
    copy = store.back_up()
    data = bytearray(copy.read_bytes())
    data[4096:8192] = b"\x5a" * 4096
    copy.write_bytes(data)
    with pytest.raises(WorkspaceError, match="damaged"):
        backups.verify(copy)
    copy.write_bytes(b"text")
    with pytest.raises(WorkspaceError):
        backups.verify(copy)


def test_check_finds_and_rebuild_repairs_wrong_current_state(asked):
    asked.submit("sam", "label", 3, asked.cat)
    asked.submit("sam", "skip", 1)
    assert asked.store.check() == []
    assert asked.store.rebuild() == 0
    with asked.store.database.write() as connection:
        connection.execute("UPDATE answer SET label_id = NULL WHERE item_id = 3")
        connection.execute("DELETE FROM verdict")
        connection.execute("UPDATE item SET done = 1 WHERE item_id = 5")
    assert asked.store.check() == ["4 rows of the current state do not match the events"]
    assert asked.names() == {}
    assert asked.store.rebuild() == 4
    assert asked.store.check() == []
    assert asked.names() == {3: "cat"}


@pytest.mark.parametrize("last_event", ["undo", "import"])
def test_any_kind_of_event_triggers_a_due_backup(asked, monkeypatch, path, last_event):
    monkeypatch.setattr(backups, "EVERY", 2)
    asked.submit("sam", "label", 3, asked.cat)
    if last_event == "undo":
        asked.store.undo("sam", "s")
    else:
        line = ImportedLabel(sample_id="4.png", label=as_label(asked.cat), annotator="ext")
        asked.store.import_labels([line])
    assert backups.verify(backups.existing(path)[0]) == 2


def test_overdue_counts_events_without_an_intact_backup(asked, monkeypatch, path):
    monkeypatch.setattr(backups, "EVERY", 2)
    asked.submit("sam", "label", 3, asked.cat)
    assert backups.overdue(path, events=1) is None
    asked.submit("sam", "label", 1, asked.cat)
    assert backups.overdue(path, events=2) is None
    assert backups.overdue(path, events=3) is None
    assert backups.overdue(path, events=5) == 3
    backups.existing(path)[0].write_bytes(b"damaged")
    assert backups.overdue(path, events=2) == 2
    assert backups.overdue(path.parent / "elsewhere" / "labels.db", events=4) == 4


def make_deltas(asked, count):
    """Return a full copy and deltas with one event each."""
    made = [asked.store.back_up()]
    for number in range(count):
        asked.submit(f"person {number}", "label", 3, asked.cat)
        made.append(asked.store.back_up())
    return made


def test_backups_after_a_full_copy_are_small_deltas(asked):
    full, *rest = make_deltas(asked, 3)
    assert [path.name for path in rest] == [
        f"labels-{number + 1:06d}-20231114T221320-000000Z-manual-{number}.delta"
        for number in (1, 2, 3)
    ]
    assert max(path.stat().st_size for path in rest) < full.stat().st_size / 20
    assert [backups.verify(path) for path in rest] == [1, 2, 3]


@pytest.mark.parametrize(
    ("damaged", "restored", "missing"), [(3, 2, 1), (2, 1, 2), (1, 0, 3), (0, 0, 3)]
)
def test_damaged_file_costs_only_what_follows(asked, path, damaged, restored, missing):
    made = make_deltas(asked, 3)
    data = bytearray(made[damaged].read_bytes())
    data[-20] ^= 1
    made[damaged].write_bytes(data)
    asked.store.close()
    result = store_location(path).restore()
    assert (result.events, result.missing) == (restored, missing)


def test_missing_delta_costs_only_what_follows(asked, path):
    made = make_deltas(asked, 3)
    made[2].unlink()
    asked.store.close()
    result = store_location(path).restore()
    assert (result.backup, result.missing) == (made[1], 2)


@pytest.mark.parametrize("count", [0, 2])
def test_damaged_full_copy_is_not_continued(asked, path, count):
    full, *_ = make_deltas(asked, count)
    data = full.read_bytes()
    full.write_bytes(data[:-4096] + b"\xff" * 4096)
    asked.submit("sam", "label", 3, asked.cat)
    assert asked.store.back_up().suffix == ".db"
    asked.store.close()
    assert store_location(path).restore().events == count + 1


def test_damaged_chains_do_not_count_as_kept(asked, path):
    sound, damaged = asked.store.back_up(), asked.store.back_up(is_full=True)
    for number in range(backups.KEPT):
        asked.submit(f"person {number}", "label", 3, asked.cat)
        asked.store.back_up()
    damaged.write_bytes(damaged.read_bytes()[:-4096] + b"\xff" * 4096)
    for _ in range(2):
        asked.store.back_up(is_full=True)
    assert backups.verify(sound) == 0


def test_full_copy_is_made_again_when_deltas_are_larger_or_many(asked, monkeypatch):
    full, *_ = make_deltas(asked, 1)
    monkeypatch.setattr(backups, "MAX_DELTAS", 1)
    assert asked.store.back_up().suffix == ".db"
    monkeypatch.undo()
    note = asked.answer("flag", 1)
    lines = [random.Random(n).randbytes(full.stat().st_size).hex() for n in range(2)]
    for number, text in enumerate(lines):
        answer = dataclasses.replace(note, op_id=f"note {number}", note=text)
        asked.store.submit(answer, annotator="sam", session="s")
        assert asked.store.back_up().suffix == ".delta" if number == 0 else ".db"


def test_rotation_removes_whole_chains(asked, monkeypatch):
    monkeypatch.setattr(backups, "MAX_DELTAS", 3)
    made = make_deltas(asked, 11)
    kept = backups.existing(asked.store.database.path)
    assert kept == made[4:][::-1]
    assert [backups.verify(path) for path in kept] == list(range(11, 3, -1))


def test_store_that_was_copied_back_gets_a_full_copy(asked, path, clock):
    old = asked.store.back_up(is_full=True).read_bytes()
    asked.submit("sam", "label", 3, asked.cat)
    asked.store.back_up()
    asked.store.close()
    path.write_bytes(old)
    with open_store(path, clock=clock) as store:
        assert store.back_up().suffix == ".db"


def test_each_table_is_in_a_delta_or_computed():
    connection = sqlite3.connect(":memory:")
    schema.migrate(connection, version=0)
    tables = {name for kind, name, _ in schema.objects(connection) if kind == "table"}
    computed = {"answer", "flagged", "verdict"}
    assert tables == {*deltas.GROWING, *deltas.WHOLE} | computed


def test_delta_is_made_after_one_failed_for_lack_of_room(asked, path):
    asked.store.back_up()
    asked.submit("sam", "label", 3, asked.cat)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    for room in (0, 4096, 40_000):
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
        try:
            with pytest.raises(StorageError):
                asked.store.back_up()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert len(list(backups.folder_of(path).iterdir())) == 1
    assert backups.verify(asked.store.back_up()) == 1
    assert backups.existing(path)[0].suffix == deltas.SUFFIX
    assert asked.store.check() == []


def test_delta_that_was_changed_since_it_was_read_is_refused(asked):
    asked.store.back_up()
    asked.submit("sam", "label", 3, asked.cat)
    delta = deltas.read(asked.store.back_up())
    delta.path.write_bytes(delta.path.read_bytes()[:-1])
    with asked.store.database.read() as connection, pytest.raises(WorkspaceError, match="damaged"):
        deltas.apply(connection, [delta])

"""What is done between two answers costs the same with few and with many events."""

import json
import sqlite3
import statistics
import sys
import tracemalloc
from collections import Counter
from pathlib import Path

import pytest
from many_events import bytes_read, make_store

from dgaal_cli.api.doctor import doctor
from dgaal_cli.api.labels import check, export_labels
from dgaal_cli.config.load import load_config
from dgaal_cli.config.schema import Config, PoolConfig
from dgaal_cli.errors import StorageError, WorkspaceError
from dgaal_cli.labeling.disputes import iter_disputes
from dgaal_cli.labeling.round_stats import RoundStats
from dgaal_cli.labeling.session import LabelSession
from dgaal_cli.labeling.view import Press
from dgaal_cli.store.exchange.json_array import json_array
from dgaal_cli.store.open import open_store
from dgaal_cli.store.records import Answer, NewSynthetic
from dgaal_cli.store.sqlite.connection import WHOLE_BYTES
from dgaal_cli.tasks.classification.label import class_label
from dgaal_cli.workspace import Workspace

FEW, MANY = 400, 10_000


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Return the folder of a store with few events, and of one with many."""
    folder = tmp_path_factory.mktemp("stores")
    for items in (FEW, MANY):
        make_store(folder / f"{items}.db", items=items)
    return folder


@pytest.fixture
def many(made, tmp_path):
    """Return a copy of the store with many events."""
    path = tmp_path / "labels.db"
    path.write_bytes((made / f"{MANY}.db").read_bytes())
    assert path.stat().st_size > WHOLE_BYTES
    (tmp_path / "pool").mkdir()
    (tmp_path / "pool" / "1.png").touch()
    (tmp_path / "dgaal.toml").write_text('name = "many"\n[pool]\nsource = "pool"\n')
    return path


def steps_of(store, action) -> int:
    """Return the steps of SQLite's virtual machine during an action, in hundreds."""
    count = 0

    def step():
        nonlocal count
        count += 1

    store.database.connection.set_progress_handler(step, 100)
    action()
    store.database.connection.set_progress_handler(None, 0)
    return count


def undo_steps(path: Path) -> int:
    with open_store(path) as store:
        label = class_label(store.classes()[0].uid)
        item = store.open_query().entries[0].item_id
        answer = Answer(op_id="a" * 32, kind="label", item_id=item, label=label)
        store.submit(answer, annotator="sam", session="s")
        steps = steps_of(store, lambda: store.undo("sam", "s"))
        assert store.redo("sam", "s").item.item_id == item
        assert store.undoable("sam", count=1) == store.undoable("sam")[-1:]
    return steps


def test_undo_does_not_grow_with_events(made, many):
    assert undo_steps(many) <= 2 * undo_steps(made / f"{FEW}.db") + 10


def undo_steps_of_session(path: Path) -> int:
    workspace, config = Workspace(path.parent), Config(pool=PoolConfig(source="pool"))
    with open_store(path) as store:
        session = LabelSession(store, config=config, workspace=workspace, annotator="sam")
        view = session.open()
        label = class_label(view.classes[0].uid)
        item_id = store.open_query().entries[0].item_id
        press = Press(op_id="b" * 32, kind="label", item_id=item_id, label=label)
        steps = steps_of(store, lambda: session.answer(press))
        before = store.watermark()
        steps += steps_of(store, session.undo)
        assert store.watermark() == before + 1
        return steps


def test_undo_of_a_session_does_not_grow_with_events(made, many):
    assert undo_steps_of_session(many) <= 2 * undo_steps_of_session(made / f"{FEW}.db") + 10


def test_control_undo_that_counts_everything_is_caught(made, many, monkeypatch):
    monkeypatch.setattr(RoundStats, "recount", lambda stats: stats.open(stats._query))
    with pytest.raises(AssertionError):
        test_undo_of_a_session_does_not_grow_with_events(made, many)


@pytest.mark.skipif(sys.platform != "linux", reason="counts what Linux reports as read")
def test_opening_reads_a_bounded_part(many):
    read = bytes_read(lambda: open_store(many, read_only=True).close())
    assert read < WHOLE_BYTES / 4
    whole = bytes_read(lambda: open_store(many, read_only=True, checks_all=True).close())
    assert whole > many.stat().st_size  # the negative control


def overwrite(path: Path, *, at: float) -> None:
    """Overwrite the page at a fraction of the file."""
    data = bytearray(path.read_bytes())
    start = int(len(data) * at) // 4096 * 4096
    data[start : start + 4096] = b"\x5a" * 4096
    path.write_bytes(data)


def run_sql(path: Path, statement: str) -> None:
    connection = sqlite3.connect(path)
    connection.execute(statement)
    connection.commit()
    connection.close()


def cut(path: Path, count: int) -> None:
    path.write_bytes(path.read_bytes()[:-count])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: cut(path, 8 * 4096), "labels restore"),
        (lambda path: cut(path, 100), "cut short"),
        (lambda path: overwrite(path, at=0), "not a label store"),
        (lambda path: run_sql(path, "DROP INDEX event_cancels"), "event_cancels is missing"),
        (lambda path: run_sql(path, f"DELETE FROM verdict WHERE item_id = {MANY}"), "check --mend"),
        (lambda path: run_sql(path, f"UPDATE item SET done = 9 WHERE item_id = {MANY}"), "--mend"),
        (lambda path: run_sql(path, f"DELETE FROM item WHERE item_id = {MANY}"), "missing row"),
    ],
)
def test_opening_finds_damage_of_a_large_store(many, damage, message):
    damage(many)
    before = many.read_bytes()
    with pytest.raises(WorkspaceError, match=message):
        open_store(many)
    assert many.read_bytes() == before


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: overwrite(path, at=0.5),
        lambda path: run_sql(path, "INSERT INTO path VALUES (x'00', 999999)"),
    ],
)
def test_damage_that_opening_passes_is_found_by_full_check_and_backup(many, damage):
    with open_store(many) as store:
        kept = store.back_up()
    damage(many)
    with open_store(many) as store, pytest.raises(StorageError, match="labels check"):
        store.back_up()
    assert list(kept.parent.iterdir()) == [kept]
    workspace = Workspace(many.parent)
    with pytest.raises(WorkspaceError, match="labels restore"):
        check(workspace)
    findings = {finding.name: finding for finding in doctor({}, workspace)}
    assert findings["labels"].remedy == "dgaal labels restore"


def test_doctor_and_check_find_old_current_state_that_differs(many):
    run_sql(many, "DELETE FROM verdict WHERE item_id = 1")
    open_store(many).close()  # not among the newest 100 events
    workspace = Workspace(many.parent)
    findings = {finding.name: finding for finding in doctor({}, workspace)}
    assert findings["labels"].remedy == "dgaal labels check --mend"
    assert "do not match the events" in check(workspace).problems[0]
    assert check(workspace, repairs=True).mended == 1


def test_disputes_of_several_pages_are_read_while_others_label(tmp_path):
    make_store(tmp_path / "labels.db", items=MANY, people=3)
    (tmp_path / "dgaal.toml").write_text('name = "many"\n[pool]\nsource = "pool"\n')
    with open_store(tmp_path / "labels.db") as store:
        expected = store.disputed_ids()
        found = iter_disputes(Workspace(tmp_path))
        read = [next(found).item_id]
        label = class_label(store.classes()[0].uid)
        decision = Answer(op_id="c" * 32, kind="adjudicate", item_id=read[0], label=label)
        store.submit(decision, annotator="sam", session="s", take_next=False)
        read += [each.item_id for each in found]
    assert read == sorted(expected)
    assert len(read) > 1000


def test_tally_and_disputes_equal_a_count_of_the_answers(many):
    with open_store(many) as store:
        flag = Answer(op_id="a" * 32, kind="flag", item_id=1)
        store.submit(flag, annotator="sam", session="s", take_next=False)
        answers = [answer for answer in store.answers() if answer.kind != "flag"]
        tally, disputed, labels = store.tally(), list(store.disputed(_text)), store.labels()
        disputed_ids = store.disputed_ids()
    by_item = {}
    for answer in answers:
        by_item.setdefault(answer.item_id, []).append(answer)
    differing = {
        item: [(answer.annotator, answer.label and _text(answer.label)) for answer in given]
        for item, given in by_item.items()
        if len({answer.label for answer in given}) > 1
    }
    assert {each.item_id: list(each.answers) for each in disputed} == differing
    assert disputed_ids == set(differing)
    current = {label.item_id: label.label for label in labels}
    assert all(each.current == _text(current[each.item_id]) for each in disputed)
    assert tally.disagreements == len(differing) > 100
    assert tally.by_annotator == tuple(Counter(a.annotator for a in answers).most_common())
    assert tally.by_provenance == tuple(Counter(r.provenance for r in labels).most_common())
    times = [answer.elapsed_ms for answer in answers if answer.elapsed_ms is not None]
    assert tally.median_ms == int(statistics.median(times))


def _text(label):
    return label.payload.hex()


def test_counts_and_verdicts_equal_the_labels(many):
    with open_store(many) as store:
        store.set_states({1: "missing", MANY: "quarantined"})
        counts, labels, verdicts = store.counts(), store.labels(), store.verdicts()
        cannot_tell = store.cannot_tell()
    assert {item: label for item, label in verdicts.items() if label} == {
        record.item_id: record.label for record in labels
    }
    assert {item for item, label in verdicts.items() if label is None} == cannot_tell
    assert (counts.items, counts.labeled, counts.cannot_tell) == (MANY - 1, len(labels), 0)
    assert (counts.unlabeled, counts.annotations) == (0, MANY // 2)
    assert (counts.synthetic, counts.synthetic_labeled) == (0, 0)
    assert sum(counts.by_class.values()) == counts.labeled


def test_tally_builds_no_record_of_an_answer(many):
    with open_store(many, read_only=True) as store:
        assert peak_bytes(store.tally) < 200_000
        assert peak_bytes(store.answers) > 2_000_000  # the negative control


@pytest.mark.parametrize("name", ["iter_answers", "effective_answers"])
def test_answers_are_read_as_of_the_first_one(many, name):
    with open_store(many) as store:
        read = getattr(store, name)
        expected, found = list(read()), read()
        first = next(found)
        uids = [record.uid for record in store.classes()]
        for number in (1, MANY - 1, MANY):  # near both ends: another verdict, another answer
            label = class_label(uids[number % 2])
            answer = Answer(op_id=f"{number}", kind="adjudicate", item_id=number, label=label)
            store.submit(answer, annotator="person 1", session="s", take_next=False)
        assert [first, *found] == expected
        assert list(read()) != expected


@pytest.mark.parametrize("name", ["csv", "jsonl", "coco", "labelstudio"])
def test_table_exports_hold_few_records(many, name):
    config = load_config(many.parent / "dgaal.toml", environment={})
    target = many.parent / f"labels.{name}"

    def export():
        made = export_labels(Workspace(many.parent), config, format=name, target=target)
        counts.append(made.count)

    counts = []
    peak = peak_bytes(export)
    assert counts == [15_000 if name == "jsonl" else MANY]
    assert peak < (4_000_000 if name == "jsonl" else 14_000_000)
    text = target.read_text()
    if name in ("coco", "labelstudio"):
        assert text == json.dumps(json.loads(text), indent=1) + "\n"


def test_export_counts_the_answers_to_synthetic_images_that_it_omits(many):
    image = {"size_bytes": 9, "width": 8, "height": 8, "parent": None, "inherited": None}
    image |= {"sample_id": "synthetic/0/a.png", "sha256": b"a" * 32, "round": 0}
    with open_store(many) as store:
        (item,) = store.add_synthetic([NewSynthetic(**image)])
        answer = Answer(op_id="a", kind="cannot_tell", item_id=item)
        store.submit(answer, annotator="sam", session="s", take_next=False)
    config = load_config(many.parent / "dgaal.toml", environment={})
    options = {"format": "jsonl", "target": many.parent / "labels.jsonl"}
    made = export_labels(Workspace(many.parent), config, **options)
    assert (made.count, made.left_out) == (15_000, 1)
    made = export_labels(Workspace(many.parent), config, **options, include_synthetic=True)
    assert (made.count, made.left_out) == (15_001, 0)


@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("values", [[], [1], [{"a": [1, {}]}, "x\ny\u2028", [], None]])
def test_json_array_equals_json_dumps(values, depth):
    written = b"".join(json_array(iter(values), depth=depth)).decode()
    outer = values if depth == 1 else {"key": values}
    expected = json.dumps(outer, indent=1)
    assert written == expected.removeprefix('{\n "key": ').removesuffix("\n}" * (depth - 1))


def peak_bytes(action) -> int:
    tracemalloc.start()
    action()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak

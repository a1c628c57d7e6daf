"""Stores are created, reopened, backed up and restored; an existing store is not overwritten."""

import pytest
from asked_stores import add_open_query, new_item
from class_labels import as_label, name_of

from dgaal_cli.errors import StorageError, UsageError, WorkspaceError
from dgaal_cli.ids import ItemId
from dgaal_cli.store.records import ImportedLabel


def labels(store) -> dict[int, str | None]:
    return {label.item_id: name_of(store, label) for label in store.labels()}


def state(store) -> tuple[object, ...]:
    """Return everything that a store reports."""
    return (
        store.classes(),
        store.items(),
        store.quarantined(),
        store.last_query(),
        store.open_round(),
        store.labels(),
        store.answers(),
        store.flagged(),
        store.counts(),
        list(store.events()),
    )


def test_empty_store_has_no_content(store):
    assert (store.items(), store.classes(), store.labels(), list(store.events())) == ([],) * 4
    assert (store.watermark(), store.open_query(), store.last_query()) == (0, None, None)
    assert store.next_task("sam", "s") is None
    assert store.undo("sam", "s") is None
    assert store.check() == []


def test_reopened_store_has_the_same_content(asked, location, clock):
    asked.submit("ann", "label", 3, asked.cat)
    asked.submit("bob", "cannot_tell", 1)
    asked.submit("ann", "flag", 2)
    before = state(asked.store)
    asked.store.close()
    assert location.exists()
    for read_only in (True, False):
        with location.open(clock=clock, read_only=read_only) as again:
            assert state(again) == before
            assert again.check() == []


def test_create_refuses_an_existing_store(asked, location):
    before = state(asked.store)
    with pytest.raises(UsageError, match="exists already"):
        location.create()
    assert state(asked.store) == before


def test_open_does_not_create_a_missing_store(location):
    for read_only in (True, False):
        with pytest.raises(WorkspaceError, match="no label store"):
            location.open(read_only=read_only)
    assert not location.exists()


def test_read_only_store_refuses_every_change(asked, location, clock):
    asked.submit("sam", "label", 3, asked.cat)
    with location.open(clock=clock, read_only=True) as reader:
        before = state(reader)
        for change in (
            lambda: reader.add_class("eel"),
            lambda: reader.add_items([new_item("new.png")]),
            lambda: reader.submit(asked.answer("skip", 1), annotator="sam", session="s"),
            lambda: reader.undo("sam", "s"),
            lambda: reader.close_query(0),
        ):
            with pytest.raises(StorageError, match="reading only"):
                change()
        assert state(reader) == before


def test_second_connection_sees_each_answer_at_once(asked, location, clock):
    with location.open(clock=clock) as other:
        asked.submit("ann", "label", 3, asked.cat)
        assert labels(other) == {3: "cat"}
        assert other.next_task("bob", "b").item.item_id == 2  # ann holds image 1
        other.undo("ann", "other")
        assert labels(asked.store) == {}


def test_lease_expires_after_the_time_given_to_open(asked, location, clock):
    with location.open(clock=clock, lease_s=5.0) as store:
        assert store.next_task("ann", "a").item.item_id == 3
        clock.wait(4.9)
        assert store.next_task("bob", "b").item.item_id == 1
        clock.wait(0.2)
        assert store.next_task("eve", "e").item.item_id == 3


def test_built_store_appears_only_when_complete(location):
    with location.build(then=lambda: None) as store:
        add_open_query(store)
        assert not location.exists()
    with location.open() as again:
        assert len(again.items()) == 5


def test_failed_build_leaves_no_store(location):
    def fail() -> None:
        raise RuntimeError("then")

    def build(*, is_block_failing: bool) -> None:
        with location.build(then=fail) as store:
            add_open_query(store)
            if is_block_failing:
                raise RuntimeError("block")

    for is_block_failing, error in ((True, "block"), (False, "then")):
        with pytest.raises(RuntimeError, match=error):
            build(is_block_failing=is_block_failing)
        assert not location.exists()


def test_backup_is_restored_and_the_old_store_is_kept(asked, location, clock):
    asked.submit("sam", "label", 3, asked.cat)
    copy = asked.store.back_up()
    clock.wait(1)
    asked.submit("sam", "label", 1, asked.dog)
    asked.store.close()
    restored = location.restore(copy)
    assert (restored.backup, restored.events) == (copy, 1)
    assert restored.set_aside is not None
    with location.open(clock=clock) as store:
        assert labels(store) == {3: "cat"}
        assert store.open_round() == 0
        assert store.check() == []


def test_newest_intact_backup_is_restored(asked, location, clock):
    for item in (3, 1, 2):
        asked.submit("sam", "label", item, asked.cat)
        newest = asked.store.back_up()
        clock.wait(1)
    asked.store.close()
    assert location.backups()[0] == newest
    assert len(location.backups()) == 3
    newest.write_bytes(b"damaged")
    assert location.restore().backup == location.backups()[1]
    with location.open(clock=clock) as store:
        assert labels(store) == {3: "cat", 1: "cat"}


def test_nothing_is_restored_without_an_intact_backup(asked, location, clock):
    before = state(asked.store)
    asked.store.back_up().write_bytes(b"damaged")
    asked.store.close()
    with pytest.raises(WorkspaceError, match="no intact backup"):
        location.restore()
    with location.open(clock=clock) as store:
        assert state(store) == before


def test_import_makes_a_backup_first(asked, location, clock):
    asked.submit("sam", "label", 3, asked.cat)
    assert location.backups() == []
    line = ImportedLabel(sample_id="4.png", label=as_label(asked.dog), annotator="ext")
    asked.store.import_labels([line], is_dry_run=True)
    assert location.backups() == []
    asked.store.import_labels([line])
    asked.store.close()
    (copy,) = location.backups()
    location.restore(copy)
    with location.open(clock=clock) as store:
        assert labels(store) == {3: "cat"}


def test_healthy_store_needs_no_backup_or_repair(asked, location):
    asked.submit("sam", "label", 3, asked.cat)
    asked.submit("sam", "skip", 1)
    asked.store.undo("sam", "s")
    assert (asked.store.check(), asked.store.rebuild()) == ([], 0)
    assert location.overdue(asked.store.watermark()) is None
    assert asked.store.backup_problem == ""


def test_location_returns_engine_name_and_version(location):
    name, version = location.engine()
    assert name
    assert version


def test_events_can_be_filtered(asked):
    asked.submit("ann", "label", 3, asked.cat)
    asked.submit("bob", "label", 1, asked.dog)
    asked.submit("ann", "skip", 2)
    store = asked.store
    assert [e.event_id for e in store.events(after=1)] == [2, 3]
    assert [e.event_id for e in store.events(annotator="ann")] == [1, 3]
    assert [e.event_id for e in store.events(item_id=ItemId(1))] == [2]
    assert [e.event_id for e in store.events(kind="label", round=0)] == [1, 2]
    assert [e.event_id for e in store.latest_events(2)] == [3, 2]
    assert [e.event_id for e in store.latest_events(1, annotator="bob")] == [2]
    assert store.undoable("ann") == [1, 3]

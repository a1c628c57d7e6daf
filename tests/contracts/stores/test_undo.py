"""Undo and redo."""

import pytest

from dgaal_cli.errors import UsageError
from dgaal_cli.ids import ItemId
from dgaal_cli.store.records import Query, QueryEntry
from dgaal_cli.tasks.classification.label import class_label


def test_undo_removes_answers_one_by_one_and_redo_restores_them(asked):
    asked.submit("sam", "label", 3, asked.cat)
    asked.submit("sam", "cannot_tell", 1)
    asked.submit("sam", "label", 2, asked.dog)
    undone = [asked.store.undo("sam", "s") for _ in range(4)]
    assert [(u.item.item_id, u.kind) for u in undone[:3]] == [
        (2, "label"),
        (1, "cannot_tell"),
        (3, "label"),
    ]
    assert undone[3] is None
    assert [u.task.item.item_id for u in undone[:3]] == [2, 1, 3]
    assert asked.names() == {}
    redone = [asked.store.redo("sam", "s") for _ in range(4)]
    assert [u.item.item_id for u in redone[:3]] == [3, 1, 2]
    assert redone[3] is None
    assert [u.task and u.task.item.item_id for u in redone[:3]] == [1, 2, None]
    assert asked.names() == {3: "cat", 2: "dog"}
    assert asked.store.cannot_tell() == {1}


def test_verdicts_follow_answers_and_undo(asked):
    asked.submit("sam", "label", 3, asked.cat)
    asked.submit("sam", "cannot_tell", 1)
    assert asked.store.verdicts() == {3: class_label(asked.cat), 1: None}
    asked.store.undo("sam", "s")
    assert asked.store.verdicts() == {3: class_label(asked.cat)}


def test_undo_restores_the_answer_before_a_correction(asked):
    asked.submit("sam", "label", 3, asked.cat)
    asked.submit("sam", "label", 3, asked.dog)
    undone = asked.store.undo("sam", "s")
    assert undone.label == class_label(asked.dog)
    assert asked.names() == {3: "cat"}
    assert undone.task.item.item_id == 1


def test_new_answer_clears_the_redo_history(asked):
    asked.submit("sam", "label", 3, asked.cat)
    asked.store.undo("sam", "s")
    asked.submit("sam", "label", 3, asked.dog)
    assert asked.store.redo("sam", "s") is None
    assert asked.names() == {3: "dog"}


def test_answer_can_be_undone_and_redone_repeatedly(asked):
    asked.submit("sam", "label", 3, asked.cat)
    for _ in range(5):
        assert asked.store.undo("sam", "s").kind == "label"
        assert asked.names() == {}
        assert asked.store.redo("sam", "s").kind == "label"
        assert asked.names() == {3: "cat"}
    assert [e.kind for e in asked.store.events()] == ["label", *("undo", "redo") * 5]


def test_undo_survives_a_restart(asked, location, clock):
    asked.submit("sam", "label", 3, asked.cat)
    asked.submit("sam", "skip", 1)
    asked.store.close()
    with location.open(clock=clock) as again:
        assert again.undo("sam", "other").kind == "skip"
        assert again.undo("sam", "other").kind == "label"
    with location.open(clock=clock) as again:
        assert again.redo("sam", "third").kind == "label"
        assert [label.item_id for label in again.labels()] == [3]


def test_undo_affects_only_own_answers(asked):
    asked.submit("ann", "label", 3, asked.cat)
    assert asked.store.undo("bob", "s") is None
    assert asked.names() == {3: "cat"}


def test_undo_does_not_cross_rounds(asked):
    asked.submit("sam", "label", 3, asked.cat)
    asked.store.close_query(0)
    assert asked.store.undo("sam", "s") is None
    asked.submit("sam", "label", 4, asked.dog)
    assert asked.store.undo("sam", "s").item.item_id == 4
    entries = (QueryEntry(item_id=ItemId(5), rank=1),)
    asked.store.save_query(Query(round=1, strategy="x", model_sha=None, entries=entries))
    assert asked.store.redo("sam", "s") is None
    assert asked.names() == {3: "cat"}


def test_flags_are_undone_like_answers(asked):
    asked.submit("sam", "flag", 3)
    assert asked.store.undo("sam", "s").kind == "flag"
    assert asked.store.flagged() == []
    assert asked.store.redo("sam", "s").task.flagged is True


def test_redo_does_not_overrule_a_later_answer_of_another_person(asked, clock):
    asked.submit("ann", "label", 3, asked.cat)
    asked.store.undo("ann", "a")
    clock.wait(121)  # the lease of the undone item expires
    asked.submit("bob", "label", 3, asked.dog)
    redone = asked.store.redo("ann", "a")
    assert redone.is_counted is False
    assert asked.names() == {3: "dog"}
    assert asked.store.check() == []


def test_retried_undo_is_applied_once(asked):
    asked.submit("sam", "label", 3, asked.cat)
    asked.submit("sam", "label", 1, asked.cat)
    first = asked.store.undo("sam", "s", op_id="u1")
    again = asked.store.undo("sam", "s", op_id="u1")
    assert (first.event_id, first.item.item_id) == (again.event_id, again.item.item_id) == (3, 1)
    assert asked.names() == {3: "cat"}
    with pytest.raises(UsageError, match="another action"):
        asked.store.redo("sam", "s", op_id="u1")

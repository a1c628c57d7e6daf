"""Undo and redo."""

import pytest

from dgaal_cli.errors import UsageError
from dgaal_cli.ids import ItemId
from dgaal_cli.store.records import Query, QueryEntry
from dgaal_cli.tasks.classification.label import class_label


def test_undo_takes_answers_back_one_by_one_and_redo_brings_them_again(asked):
    asked.say("sam", "label", 3, asked.cat)
    asked.say("sam", "cannot_tell", 1)
    asked.say("sam", "label", 2, asked.dog)
    taken = [asked.store.undo("sam", "s") for _ in range(4)]
    assert [(u.item.item_id, u.kind) for u in taken[:3]] == [
        (2, "label"),
        (1, "cannot_tell"),
        (3, "label"),
    ]
    assert taken[3] is None
    assert [u.task.item.item_id for u in taken[:3]] == [2, 1, 3]
    assert asked.names() == {}
    brought = [asked.store.redo("sam", "s") for _ in range(4)]
    assert [u.item.item_id for u in brought[:3]] == [3, 1, 2]
    assert brought[3] is None
    assert [u.task and u.task.item.item_id for u in brought[:3]] == [1, 2, None]
    assert asked.names() == {3: "cat", 2: "dog"}
    assert asked.store.cannot_tell() == {1}


def test_undo_restores_the_answer_before_a_correction(asked):
    asked.say("sam", "label", 3, asked.cat)
    asked.say("sam", "label", 3, asked.dog)
    undone = asked.store.undo("sam", "s")
    assert undone.label == class_label(asked.dog)
    assert asked.names() == {3: "cat"}
    assert undone.task.item.item_id == 1


def test_a_new_answer_ends_what_could_be_redone(asked):
    asked.say("sam", "label", 3, asked.cat)
    asked.store.undo("sam", "s")
    asked.say("sam", "label", 3, asked.dog)
    assert asked.store.redo("sam", "s") is None
    assert asked.names() == {3: "dog"}


def test_an_answer_can_be_undone_and_redone_for_ever(asked):
    asked.say("sam", "label", 3, asked.cat)
    for _ in range(5):
        assert asked.store.undo("sam", "s").kind == "label"
        assert asked.names() == {}
        assert asked.store.redo("sam", "s").kind == "label"
        assert asked.names() == {3: "cat"}
    assert [e.kind for e in asked.store.events()] == ["label", *("undo", "redo") * 5]


def test_undo_survives_a_restart(asked, location, clock):
    asked.say("sam", "label", 3, asked.cat)
    asked.say("sam", "skip", 1)
    asked.store.close()
    with location.open(clock=clock) as again:
        assert again.undo("sam", "other").kind == "skip"
        assert again.undo("sam", "other").kind == "label"
    with location.open(clock=clock) as again:
        assert again.redo("sam", "third").kind == "label"
        assert [label.item_id for label in again.labels()] == [3]


def test_undo_reaches_only_ones_own_answers(asked):
    asked.say("ann", "label", 3, asked.cat)
    assert asked.store.undo("bob", "s") is None
    assert asked.names() == {3: "cat"}


def test_undo_ends_at_the_rounds_border(asked):
    asked.say("sam", "label", 3, asked.cat)
    asked.store.close_query(0)
    assert asked.store.undo("sam", "s") is None
    asked.say("sam", "label", 4, asked.dog)
    assert asked.store.undo("sam", "s").item.item_id == 4
    entries = (QueryEntry(item_id=ItemId(5), rank=1),)
    asked.store.save_query(Query(round=1, strategy="x", model_sha=None, entries=entries))
    assert asked.store.redo("sam", "s") is None
    assert asked.names() == {3: "cat"}


def test_flags_are_undone_like_answers(asked):
    asked.say("sam", "flag", 3)
    assert asked.store.undo("sam", "s").kind == "flag"
    assert asked.store.flagged() == []
    assert asked.store.redo("sam", "s").task.flagged is True


def test_redo_does_not_overrule_who_answered_meanwhile(asked, clock):
    asked.say("ann", "label", 3, asked.cat)
    asked.store.undo("ann", "a")
    clock.now += 121  # the lease that undo took runs out
    asked.say("bob", "label", 3, asked.dog)
    redone = asked.store.redo("ann", "a")
    assert redone.is_counted is False
    assert asked.names() == {3: "dog"}
    assert asked.store.check() == []


def test_a_retried_undo_is_done_once(asked):
    asked.say("sam", "label", 3, asked.cat)
    asked.say("sam", "label", 1, asked.cat)
    first = asked.store.undo("sam", "s", op_id="u1")
    again = asked.store.undo("sam", "s", op_id="u1")
    assert (first.event_id, first.item.item_id) == (again.event_id, again.item.item_id) == (3, 1)
    assert asked.names() == {3: "cat"}
    with pytest.raises(UsageError, match="another action"):
        asked.store.redo("sam", "s", op_id="u1")

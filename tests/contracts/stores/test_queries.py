"""Queries, leases, and overlap of annotators."""

import dataclasses

import pytest
from class_labels import as_label

from dgaal_cli.errors import UsageError
from dgaal_cli.ids import ClassUid, ItemId
from dgaal_cli.store.records import Answer, Query, QueryEntry, QueryProgress


def test_saved_query_is_returned_unchanged(asked):
    store = asked.store
    store.close_query(0)
    entry = QueryEntry(
        item_id=ItemId(4),
        rank=1,
        score=0.75,
        percentile=99.5,
        nearest=ItemId(3),
        predicted=asked.cat,
        probabilities=((asked.cat, 0.6), (asked.dog, 0.4)),
        reason="far from every label",
    )
    query = Query(round=1, strategy="dgaal", model_sha=b"\x00\xff", entries=(entry,))
    store.save_query(query)
    assert store.open_query() == query
    store.close_query(1)
    assert store.open_query() is None
    assert store.last_query() == query
    assert [e.item_id for e in store.query(0).entries] == [3, 1, 2]


def test_only_one_query_is_open_and_rounds_only_increase(asked):
    query = asked.store.open_query()
    with pytest.raises(UsageError, match="round 0 is still open"):
        asked.store.save_query(dataclasses.replace(query, round=1))
    asked.store.close_query(0)
    with pytest.raises(UsageError, match="after round 0"):
        asked.store.save_query(query)
    with pytest.raises(UsageError, match="no open query"):
        asked.store.close_query(0)


@pytest.mark.parametrize(
    "entries",
    [
        (),
        (QueryEntry(item_id=ItemId(99), rank=1),),
        (QueryEntry(item_id=ItemId(4), rank=1), QueryEntry(item_id=ItemId(4), rank=2)),
        (QueryEntry(item_id=ItemId(4), rank=1), QueryEntry(item_id=ItemId(5), rank=1)),
        (QueryEntry(item_id=ItemId(4), rank=1, score=float("nan")),),
        (QueryEntry(item_id=ItemId(4), rank=1, predicted=ClassUid("nobody")),),
    ],
)
def test_invalid_query_is_refused_and_not_stored(asked, entries):
    asked.store.close_query(0)
    with pytest.raises(UsageError):
        asked.store.save_query(Query(round=1, strategy="x", model_sha=None, entries=entries))
    assert asked.store.open_query() is None
    assert asked.store.last_query().round == 0


def test_items_are_asked_by_rank_and_skipped_items_last(asked):
    store = asked.store
    assert store.next_task("sam", "s").item.item_id == 3
    assert asked.submit("sam", "skip", 3).next_task.item.item_id == 1
    assert asked.submit("sam", "skip", 1).next_task.item.item_id == 2
    assert asked.submit("sam", "label", 2, asked.cat).next_task.item.item_id == 3
    assert asked.submit("sam", "skip", 3).next_task.item.item_id == 1
    assert store.query_progress(0) == QueryProgress(
        size=3, labeled=1, cannot_tell=0, skipped=2, left=2
    )
    assert asked.submit("sam", "cannot_tell", 1).next_task.item.item_id == 3
    assert asked.submit("sam", "label", 3, asked.dog).next_task is None
    assert store.query_progress(0) == QueryProgress(
        size=3, labeled=2, cannot_tell=1, skipped=0, left=0
    )
    assert store.close_query(0) == 0


def test_closing_returns_the_unanswered_items_to_the_pool(asked):
    asked.submit("sam", "label", 3, asked.cat)
    assert asked.store.close_query(0) == 2
    assert asked.store.next_task("sam", "s") is None
    assert asked.store.counts().unlabeled == 4


def save_query_of(asked, number: int, *items: int, overlap: int = 1) -> None:
    entries = tuple(QueryEntry(item_id=ItemId(i), rank=r) for r, i in enumerate(items, start=1))
    query = Query(round=number, strategy="x", model_sha=None, entries=entries)
    asked.store.save_query(query, overlap=overlap)


def progress_of(asked, number: int) -> tuple[int, int, int]:
    p = asked.store.query_progress(number)
    return p.labeled, p.cannot_tell, p.left


def test_answer_counts_in_the_last_round_that_asked_the_item(asked):
    asked.submit("ann", "label", 3, asked.cat)
    asked.store.close_query(0)
    save_query_of(asked, 1, 1, 2, 4)
    assert progress_of(asked, 0) == (1, 0, 2)
    asked.submit("ann", "label", 1, asked.cat)
    asked.submit("ann", "cannot_tell", 2)
    assert progress_of(asked, 0) == (1, 0, 2)
    assert progress_of(asked, 1) == (1, 1, 1)
    asked.store.undo("ann", "ann-1")
    assert progress_of(asked, 0) == (1, 0, 2)
    assert progress_of(asked, 1) == (1, 0, 2)
    asked.submit("ann", "label", 3, asked.dog)  # the answer of round 0, corrected in round 1
    assert progress_of(asked, 0) == (1, 0, 2)
    asked.store.close_query(1)
    save_query_of(asked, 2, 2, 4)
    asked.submit("bob", "label", 2, asked.dog)
    assert [progress_of(asked, n) for n in (0, 1, 2)] == [(1, 0, 2), (1, 0, 2), (1, 0, 1)]


def test_item_finished_over_two_rounds_counts_once(asked):
    asked.store.close_query(0)
    save_query_of(asked, 1, 4, 5, overlap=2)
    asked.submit("ann", "label", 4, asked.cat)
    asked.store.close_query(1)
    save_query_of(asked, 2, 4, overlap=2)
    assert (progress_of(asked, 1), progress_of(asked, 2)) == ((0, 0, 2), (0, 0, 1))
    asked.submit("bob", "label", 4, asked.cat)
    assert (progress_of(asked, 1), progress_of(asked, 2)) == ((0, 0, 2), (1, 0, 0))


def test_skip_of_an_earlier_round_does_not_delay_the_item(asked):
    asked.submit("sam", "skip", 3)
    asked.store.close_query(0)
    entries = (QueryEntry(item_id=ItemId(3), rank=1), QueryEntry(item_id=ItemId(4), rank=2))
    asked.store.save_query(Query(round=1, strategy="x", model_sha=None, entries=entries))
    assert asked.store.next_task("sam", "s").item.item_id == 3


def test_two_people_are_never_offered_the_same_item(asked):
    first, second = asked.store.next_task("ann", "a"), asked.store.next_task("bob", "b")
    assert (first.item.item_id, second.item.item_id) == (3, 1)
    assert [u.item.item_id for u in asked.store.upcoming("ann", 9)] == [3, 2]


def test_abandoned_item_is_offered_again_when_its_lease_expires(asked, clock):
    asked.store.next_task("ann", "a")
    clock.wait(119.9)
    assert asked.store.next_task("bob", "b").item.item_id == 1
    clock.wait(0.2)
    assert asked.store.next_task("bob", "b").item.item_id == 3


def test_restarted_terminal_gets_the_same_item(asked):
    asked.store.next_task("ann", "first")
    assert asked.store.next_task("ann", "second").item.item_id == 3


def test_overlap_asks_several_people_and_each_only_once(asked):
    store = asked.store
    query = store.open_query()
    store.close_query(0)
    store.save_query(dataclasses.replace(query, round=1), overlap=2)
    assert asked.submit("ann", "label", 3, asked.cat).next_task.item.item_id == 1
    assert store.next_task("bob", "b").item.item_id == 3
    assert store.query_progress(1).labeled == 0
    asked.submit("bob", "label", 3, asked.dog)
    assert store.query_progress(1).labeled == 1
    assert store.next_task("eve", "e").item.item_id == 2  # ann and bob hold 1
    assert asked.names() == {3: "cat"}  # in a tie the earliest answer wins


def test_unreadable_items_are_not_asked_again(asked):
    asked.store.set_states({ItemId(3): "missing"})
    assert asked.store.next_task("sam", "s").item.item_id == 1
    assert asked.store.query_progress(0).left == 2


def test_answer_may_choose_the_next_item(asked):
    store = asked.store
    store.next_task("sam", "s")
    answer = Answer(op_id="a", kind="label", item_id=ItemId(3), label=as_label(asked.cat))
    receipt = store.submit(answer, annotator="sam", session="s", next_item=ItemId(2))
    assert receipt.next_task.item.item_id == 2
    taken = store.next_task("eve", "e", item_id=ItemId(1))
    assert taken.item.item_id == 1
    answer = Answer(op_id="b", kind="skip", item_id=ItemId(2))
    receipt = store.submit(answer, annotator="sam", session="s", next_item=ItemId(1))
    assert receipt.next_task.item.item_id == 2  # eve holds image 1


def test_extend_query_appends_items_to_the_open_query(asked):
    store = asked.store
    asked.submit("sam", "label", 3, asked.cat)
    more = [QueryEntry(item_id=ItemId(item), rank=1) for item in (3, 5, 1, 4)]
    assert store.extend_query(more) == 2
    assert [e.item_id for e in store.open_query().entries] == [3, 1, 2, 5, 4]
    assert store.query_progress(0).size == 5
    with pytest.raises(UsageError, match="unknown image"):
        store.extend_query([QueryEntry(item_id=ItemId(99), rank=1)])
    assert len(store.open_query().entries) == 5
    store.close_query(0)
    with pytest.raises(UsageError, match="no query is open"):
        store.extend_query(more)


@pytest.mark.parametrize("days", [-3000, -30, 30, 3000])
def test_a_lease_does_not_depend_on_the_wall_clock(asked, clock, days):
    asked.store.next_task("ann", "a")
    clock.now += days * 86_400
    assert asked.store.next_task("bob", "b").item.item_id == 1  # ann's image is not free
    clock.wait(121)
    assert asked.store.next_task("eve", "e").item.item_id == 3  # nor is it held for longer


@pytest.mark.parametrize("uptime", [5.0, 1000.0, 9e6])
def test_a_lease_ends_with_the_boot(asked, clock, uptime):
    asked.store.next_task("ann", "a")
    clock.boot, clock.uptime = "second", uptime
    assert [u.item.item_id for u in asked.store.upcoming("bob", 1)] == [3]
    assert asked.store.next_task("bob", "b").item.item_id == 3


def test_no_lease_holds_an_image_for_longer_than_its_length(asked, clock):
    asked.store.next_task("ann", "a")
    clock.uptime -= 800  # as if the clock of the boot had gone back
    assert asked.store.next_task("bob", "b").item.item_id == 3

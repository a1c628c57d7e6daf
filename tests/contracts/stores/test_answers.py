"""Answers, imports and what counts as the label of an image."""

import dataclasses

import pytest
from class_labels import as_label, name_of

from dgaal_cli.errors import UsageError
from dgaal_cli.ids import ClassUid, ItemId
from dgaal_cli.store.records import ImportedLabel, ImportReport, Lease, Shown


def test_same_answer_twice_is_stored_once(asked):
    answer = asked.answer("label", 3, asked.cat)
    first = asked.store.submit(answer, annotator="sam", session="1")
    again = asked.store.submit(answer, annotator="sam", session="2")
    assert (again.event_id, again.is_counted) == (first.event_id, True)
    assert again.next_task.item.item_id == 1
    assert len(list(asked.store.events())) == 1


def test_operation_id_refuses_another_answer(asked):
    answer = asked.answer("label", 3, asked.cat)
    asked.store.submit(answer, annotator="sam", session="1")
    for other in (
        dataclasses.replace(answer, label=as_label(asked.dog)),
        dataclasses.replace(answer, item_id=ItemId(1)),
        dataclasses.replace(answer, note="x"),
    ):
        with pytest.raises(UsageError, match="another answer"):
            asked.store.submit(other, annotator="sam", session="1")
    with pytest.raises(UsageError, match="another answer"):
        asked.store.submit(answer, annotator="eve", session="1")


def test_contradictory_answers_are_refused(asked):
    for answer in (
        asked.answer("label", 3),
        asked.answer("skip", 3, asked.cat),
        asked.answer("label", 99, asked.cat),
        asked.answer("label", 3, "nobody"),
    ):
        with pytest.raises(UsageError):
            asked.store.submit(answer, annotator="sam", session="1")
    with pytest.raises(UsageError, match="annotator"):
        asked.store.submit(asked.answer("skip", 3), annotator=" ", session="1")
    assert asked.store.watermark() == 0


def test_late_answer_is_kept_but_does_not_overwrite_another(asked, clock):
    late = asked.store.next_task("ann", "a")
    clock.wait(121)
    task = asked.store.next_task("bob", "b")
    assert task.item.item_id == 3
    asked.store.submit(
        asked.answer("label", 3, asked.dog), annotator="bob", session="b", lease=task.lease
    )
    receipt = asked.store.submit(
        asked.answer("label", 3, asked.cat), annotator="ann", session="a", lease=late.lease
    )
    assert receipt.is_counted is False
    assert asked.names() == {3: "dog"}
    assert [e.is_counted for e in asked.store.events()] == [True, False]
    assert asked.store.counts().annotations == 1


def test_late_answer_counts_if_it_is_the_only_one(asked, clock):
    late = asked.store.next_task("ann", "a")
    clock.wait(500)
    receipt = asked.store.submit(
        asked.answer("label", 3, asked.cat), annotator="ann", session="a", lease=late.lease
    )
    assert receipt.is_counted is True
    assert asked.names() == {3: "cat"}


def test_answer_with_forged_lease_is_not_counted(asked, clock):
    asked.submit("bob", "label", 3, asked.dog)
    forged = Lease(token="x", fence=1, expires=clock.uptime + 99)
    receipt = asked.store.submit(
        asked.answer("label", 3, asked.cat), annotator="ann", session="a", lease=forged
    )
    assert receipt.is_counted is False


def test_annotator_corrects_own_answer_and_reviewer_any_answer(asked):
    asked.submit("ann", "label", 3, asked.cat)
    asked.submit("ann", "label", 3, asked.dog)
    assert asked.names() == {3: "dog"}
    asked.submit("rev", "adjudicate", 3, asked.cat)
    assert asked.names() == {3: "cat"}
    asked.submit("ann", "label", 3, asked.dog)
    assert asked.names() == {3: "cat"}
    assert asked.store.counts().annotations == 1


def test_majority_wins_and_cannot_tell_is_a_vote(asked):
    store = asked.store
    query = store.open_query()
    store.close_query(0)
    store.save_query(dataclasses.replace(query, round=1), overlap=5)
    asked.submit("a", "label", 3, asked.cat)
    asked.submit("b", "label", 3, asked.dog)
    asked.submit("c", "label", 3, asked.dog)
    assert asked.names() == {3: "dog"}
    asked.submit("d", "cannot_tell", 3)
    asked.submit("a", "cannot_tell", 3)
    assert asked.names() == {3: "dog"}  # two against two: the earlier vote wins
    asked.submit("b", "cannot_tell", 3)
    assert asked.names() == {}
    assert store.cannot_tell() == {3}


def test_flag_keeps_the_item_and_can_be_removed(asked):
    receipt = asked.submit("sam", "flag", 3)
    assert (receipt.next_task.item.item_id, receipt.next_task.flagged) == (3, True)
    assert [item.item_id for item in asked.store.flagged()] == [3]
    receipt = asked.submit("sam", "unflag", 3)
    assert (receipt.next_task.item.item_id, receipt.next_task.flagged) == (3, False)
    assert asked.store.counts().flagged == 0


def test_shown_prediction_is_stored_with_the_answer(asked):
    shown = Shown(
        shown_id="s1",
        item_id=ItemId(3),
        round=0,
        model_sha=b"m",
        predicted=asked.dog,
        probability=0.9,
        ui="top1",
        used_learner=True,
    )
    answer = dataclasses.replace(asked.answer("label", 3, asked.dog), shown=shown, elapsed_ms=700)
    asked.store.submit(answer, annotator="sam", session="1")
    (event,) = asked.store.events()
    assert (event.predicted, event.ui, event.elapsed_ms) == (asked.dog, "top1", 700)
    assert (event.round, event.at, name_of(asked.store, event)) == (
        0,
        "2023-11-14T22:13:20.000000Z",
        "dog",
    )


def test_labels_at_a_watermark_ignore_later_answers(asked):
    asked.submit("sam", "label", 3, asked.cat)
    watermark = asked.store.watermark()
    asked.submit("sam", "label", 3, asked.dog)
    asked.submit("sam", "cannot_tell", 1)
    asked.store.undo("sam", "1")
    asked.submit("sam", "label", 1, asked.cat)
    asked.submit("sam", "cannot_tell", 2)
    assert [
        (r.item_id, name_of(asked.store, r)) for r in asked.store.labels(watermark=watermark)
    ] == [(3, "cat")]
    assert [
        (r.item_id, name_of(asked.store, r)) for r in asked.store.labels(watermark=watermark + 1)
    ] == [(3, "dog")]
    assert asked.store.cannot_tell(watermark=watermark + 2) == {1}
    assert asked.store.cannot_tell(watermark=watermark + 3) == set()
    assert asked.store.labels(watermark=asked.store.watermark()) == asked.store.labels()
    assert asked.store.cannot_tell() == {2}


def test_submit_many_stores_all_answers_or_none(asked):
    good = [asked.answer("label", 3, asked.cat), asked.answer("label", 1, asked.dog)]
    with pytest.raises(UsageError):
        asked.store.submit_many(
            [*good, asked.answer("label", 99, asked.dog)], annotator="o", session="s"
        )
    assert asked.store.watermark() == 0
    receipts = asked.store.submit_many(good, annotator="o", session="s", provenance="simulated")
    assert [r.event_id for r in receipts] == [1, 2]
    assert {label.provenance for label in asked.store.labels()} == {"simulated"}


def imported(name: str, uid, **changes) -> ImportedLabel:
    return ImportedLabel(
        **{"sample_id": name, "label": as_label(uid), "annotator": "ext", **changes}
    )


def test_imports_are_separate_events_and_are_stored_once(asked):
    lines = [
        imported("4.png", asked.cat, at="2020-01-02T03:04:05+01:00"),
        imported("5.png", None, kind="cannot_tell"),
    ]
    assert asked.store.import_labels(lines) == ImportReport(added=2, replaced=0, unchanged=0)
    assert asked.store.import_labels(lines) == ImportReport(added=0, replaced=0, unchanged=2)
    (label,) = asked.store.labels()
    assert (label.at, label.provenance) == ("2020-01-02T02:04:05.000000Z", "imported")
    assert asked.store.cannot_tell() == {5}
    report = asked.store.import_labels([imported("4.png", asked.dog)])
    assert report == ImportReport(added=0, replaced=1, unchanged=0)
    assert asked.store.counts().annotations == 0
    assert asked.store.undo("ext", "s") is None


@pytest.mark.parametrize(
    "bad",
    [
        {"sample_id": "nowhere.png"},
        {"label": as_label(ClassUid("nobody"))},
        {"label": None},
        {"annotator": ""},
        {"at": "yesterday"},
    ],
)
def test_import_with_one_bad_line_stores_nothing(asked, bad):
    lines = [imported("4.png", asked.cat), imported("5.png", asked.cat)._replace(**bad)]
    with pytest.raises(UsageError):
        asked.store.import_labels(lines)
    assert asked.store.watermark() == 0


def test_recorded_artifacts_are_known(store):
    store.record_artifact(b"a" * 32, "sampler", "torchscript", 2)
    store.record_artifact(b"a" * 32, "sampler", "torchscript", 2)
    assert store.knows_artifact(b"a" * 32) is True
    assert store.knows_artifact(b"b" * 32) is False


def test_unanswered_images_are_those_without_a_verdict_that_can_be_asked(asked):
    store = asked.store
    asked.submit("a", "label", 3, asked.cat)
    asked.submit("a", "cannot_tell", 1)
    asked.submit("a", "skip", 2)
    store.set_states({ItemId(4): "missing"})
    assert store.unanswered() == [2, 5]
    assert store.unanswered(after=2) == [5]
    store.undo("a", "s")
    store.undo("a", "s")
    assert store.unanswered() == [1, 2, 5]


def test_usable_counts_images_in_state_ok_and_returns_some_of_the_second_half(asked):
    asked.store.set_states({ItemId(4): "missing"})
    total, items = asked.store.usable(9)
    assert (total, [item.item_id for item in items]) == (4, [3, 5])
    assert [item.item_id for item in asked.store.usable(1)[1]] == [3]


def test_effective_answers_are_the_labels_by_name(asked):
    store = asked.store
    for annotator, item, uid in (("a", 3, asked.dog), ("a", 1, asked.cat), ("b", 1, asked.dog)):
        asked.submit(annotator, "label", item, uid)
    asked.submit("a", "cannot_tell", 2)
    asked.submit("a", "flag", 3)
    found = list(store.effective_answers())
    assert found == sorted(
        (answer for answer in store.answers() if answer.is_effective and answer.label),
        key=lambda answer: answer.sample_id,
    )
    assert [(answer.item_id, name_of(store, answer)) for answer in found] == [
        (1, "cat"),
        (3, "dog"),
    ]

"""Answers of one annotator: answer, undo, redo, change, flag.

Every method returns after COMMIT, with a notice where the result is not plain from the view.
"""

import dataclasses

from dgaal_cli.ids import ItemId
from dgaal_cli.labeling.annotators import OperationIds
from dgaal_cli.labeling.open_round import OpenRound
from dgaal_cli.labeling.standing_answers import (
    StandingAnswer,
    answer_of_undone,
    labels_of_others,
    standing_answers,
)
from dgaal_cli.labeling.view import Press, join_notices
from dgaal_cli.store.fold import standing_events
from dgaal_cli.store.records import Answer, AnswerKind

_SUPERSEDED = "nothing changed: what was imported for this image later counts"

_NOT_THE_LABEL = "saved, but another annotator's answer counts; 'dgaal labels adjudicate' decides"


class Answers:
    """Stores single answers."""

    def __init__(self, open_round: OpenRound, ids: OperationIds) -> None:
        self._round = open_round
        self._store = open_round.store
        self._ids = ids

    def give(self, press: Press) -> str:
        """Store one answer and take the next image, in one transaction."""
        open_round, task = self._round, self._round.task
        self._ids.forget()
        image = open_round.image
        receipt = self._store.submit(
            open_round.stored_form(press, image),
            annotator=open_round.annotator,
            session=open_round.session_id,
            lease=task.lease if task and task.item.item_id == press.item_id else None,
            next_item=open_round.announced,
        )
        open_round.task, open_round.taken_back = receipt.next_task, None
        open_round.on_screen = None
        open_round.stats.add(press, image, receipt)
        open_round.stats.recount()
        open_round.stats.measure_pace(press.elapsed_ms)
        open_round.learn(press.item_id, press.label)
        open_round.queue.drop(press.item_id, comes_back=press.kind == "skip")
        open_round.queue.rank()
        late = "" if receipt.is_counted else "kept, not counted: another annotator was first"
        return join_notices(late, open_round.follow())

    def undo(self) -> str:
        """Undo the newest answer of the round and show its image again.

        Like every method below, it may be called again after an error and is still done once.
        """
        open_round = self._round
        with self._ids.same_until_done("undo") as op_id:
            notice = open_round.follow()
            undone = self._store.undo(open_round.annotator, open_round.session_id, op_id=op_id)
            open_round.stats.recount()
            if undone is None:
                return join_notices("nothing to undo in this round", notice)
            open_round.task = undone.task
            if undone.task is None:
                open_round.take()
            if undone.kind not in ("label", "cannot_tell", "skip"):
                told = _SUPERSEDED if undone.is_superseded else f"took the {undone.kind} back"
                return join_notices(told, notice)
            open_round.taken_back = None if undone.is_superseded else answer_of_undone(undone)
            open_round.relearn([undone.item.item_id])
            return join_notices(_SUPERSEDED if undone.is_superseded else "", notice)

    def redo(self) -> str:
        """Restore the last undone answer."""
        open_round = self._round
        with self._ids.same_until_done("redo") as op_id:
            notice = open_round.follow()
            redone = self._store.redo(open_round.annotator, open_round.session_id, op_id=op_id)
            open_round.stats.recount()
            if redone is None:
                return join_notices("nothing to redo", notice)
            open_round.taken_back = None
            open_round.relearn([redone.item.item_id])
            open_round.task = redone.task
            if redone.task is None:
                open_round.take()
            late = "" if redone.is_counted else "kept, not counted: others answered it"
            late = _SUPERSEDED if redone.is_superseded else late
            return join_notices(late, notice)

    def flag(self) -> str:
        """Flag or unflag the current image."""
        task = self._round.task
        if task is None:
            return "no image to flag"
        kind: AnswerKind = "unflag" if task.flagged else "flag"
        with self._ids.same_until_done(kind) as op_id:
            receipt = self._store.submit(
                Answer(op_id=op_id, kind=kind, item_id=task.item.item_id),
                annotator=self._round.annotator,
                session=self._round.session_id,
                lease=task.lease,
            )
        self._round.task = receipt.next_task
        return "flagged for a second look" if kind == "flag" else "flag removed"

    # Earlier answers

    def given(self) -> tuple[StandingAnswer, ...]:
        """Return this annotator's current answers and all other labels, newest first."""
        flagged = {item.item_id for item in self._store.flagged()}
        answers = standing_answers(self._store.events(annotator=self._round.annotator))
        answers = [answer for answer in answers if answer.kind != "skip"]
        own = {answer.item_id for answer in answers}
        answers += labels_of_others(self._store.labels(), own)
        answers.sort(key=lambda answer: answer.event_id, reverse=True)
        predictions = self._round.learner.task_model([answer.item_id for answer in answers])
        return tuple(
            dataclasses.replace(
                answer,
                is_flagged=answer.item_id in flagged,
                predicted_now=predictions.get(answer.item_id),
            )
            for answer in answers
        )

    def flag_given(self, item_id: ItemId, *, is_flagged: bool) -> None:
        """Flag or unflag an answered image."""
        kind: AnswerKind = "flag" if is_flagged else "unflag"
        with self._ids.same_until_done(f"{kind} {item_id}") as op_id:
            self._store.submit(
                Answer(op_id=op_id, kind=kind, item_id=item_id),
                annotator=self._round.annotator,
                session=self._round.session_id,
                take_next=False,
            )

    def change(self, press: Press) -> str:
        """Change the answer of an image; return a notice if another answer stays the label.

        The label of an image that only others answered is changed by a decision. Undo works as for
        other answers.
        """
        self._ids.forget()
        answer = self._round.stored_form(press, None)
        events = self._store.events(item_id=press.item_id, annotator=self._round.annotator)
        own = [event.says for event in standing_events(events) if event.says != "skip"]
        if answer.label is not None and own in ([], ["adjudicate"]):
            answer = dataclasses.replace(answer, kind="adjudicate")
        self._store.submit(
            answer,
            annotator=self._round.annotator,
            session=self._round.session_id,
            take_next=False,
        )
        self._round.stats.recount()
        self._round.relearn([press.item_id])
        found = self._store.verdicts(items={press.item_id})
        return "" if found.get(press.item_id) == answer.label else _NOT_THE_LABEL

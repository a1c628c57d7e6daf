"""Training in a dialog or in the background during labeling, and the export after it."""

from collections.abc import Callable, Sequence
from functools import partial

from dgaal_cli.labeling.more_images import LAST_PART
from dgaal_cli.tui import messages, theme
from dgaal_cli.tui.labeling.answers import Answers, Progress
from dgaal_cli.tui.screens.dialogs import ConfirmDialog
from dgaal_cli.tui.screens.training import Closing, TrainingDialog
from dgaal_cli.tui.trainer import Step, Trainer, TrainingState
from dgaal_cli.tui.widgets import captions

EXPORT_STOP_S = 5.0
"""Time after which an export that does not stop is killed; its files are written atomically."""


class Rounds:
    """Runs the training and export of rounds; labeling stays possible meanwhile."""

    def __init__(self, answers: Answers, *, review: Callable[[], None]) -> None:
        """Start without a training; ``review`` opens the review of answers."""
        self._answers = answers
        self._screen, self._bridge = answers.screen, answers.bridge
        self._settings, self._shown = answers.settings, answers.shown
        self._notices = answers.notices
        self._review = review
        self.background = ""
        """Background activity for the status line."""
        self._dialog: TrainingDialog | None = None
        """The open training dialog."""
        self._trainer: Trainer | None = None
        """The last training, running or finished; it may run while the operator labels."""
        self._export: Trainer | None = None
        """Export and predictions in the background."""
        self._is_export_requested = False
        self._handled: TrainingState | None = None
        self._is_failure_unreported = False
        """A training failed in the background; the next dialog shows the reason."""
        self._ranked_for: int | None = None
        """Round for which the next images have been ranked."""
        self._learner_for: int | None = None
        """Round for which the learner was requested."""

    @property
    def is_training(self) -> bool:
        """Whether a training process runs."""
        return self._trainer is not None and self._trainer.is_running

    # Training

    def progressed(self, progress: Progress) -> None:
        """React to progress of the query."""
        if progress == "opened":
            self._load_learner()
        elif progress == "continued":
            self._rank_ahead()
        elif self.is_training and self._dialog is None:
            self._answers.call("more", lambda session: session.keep_labeling())
        else:
            self.offer_training()

    def offer_training(
        self, *, is_started: bool = False, steps: Sequence[Step] | None = None
    ) -> None:
        """Open the training dialog, for the running training if there is one."""
        is_reported = is_started or not self._is_failure_unreported
        running = self._trainer if self.is_training or not is_reported else None
        self._is_failure_unreported = False
        self._dialog = TrainingDialog(
            captions.round_summary(self._shown.view),
            steps or self.next_steps(),
            self._make_trainer,
            self._settings,
            is_started=is_started and running is None,
            trainer=running,
        )
        self._screen.app.push_screen(self._dialog, self._after_dialog)

    def next_steps(self, *, synthetic: int = 0) -> tuple[Step, ...]:
        """Return the steps after this query."""
        view = self._shown.view
        ask: Step = f"query --synthetic {synthetic}" if synthetic else "query"
        if view.next_step == "query":
            return (ask,)
        is_spent = 0 < view.budget <= view.spent
        return ("train",) if is_spent else ("train", ask)

    def _make_trainer(self, steps: Sequence[Step]) -> Trainer:
        export, self._export = self._export, None

        def notify(state: TrainingState) -> None:
            self._screen.post_message(messages.TrainingUpdate(state))

        self._handled = None
        self._trainer = Trainer(
            self._settings.train_command,
            steps,
            before_query=self._bridge.finish_query,
            on_change=notify,
            before_start=partial(export.stop, EXPORT_STOP_S) if export else None,
            clock=self._settings.clock,
        )
        return self._trainer

    def _after_dialog(self, closing: Closing | None) -> None:
        self._dialog = None
        self._show_progress()
        if closing == "undo":
            self._answers.call("undo", lambda session: session.undo())
        elif closing == "background":
            self._label_meanwhile()
        elif closing == "review":
            self._show_progress()
            self._review()
        else:
            self._answers.call("open", lambda session: session.open())

    def _label_meanwhile(self) -> None:
        self._shown.look_again()
        self._show_progress()
        stage = self._trainer.state.stage if self._trainer else "failed"
        if stage == "done":
            self._open_next()
        elif stage in ("failed", "canceled"):
            self._answers.call("more", lambda session: session.label_on())
        elif self._shown.view.state != "labeling":
            self._answers.call("more", lambda session: session.keep_labeling())

    def follow(self, state: TrainingState) -> None:
        """Handle an update of the training; after its end start the export and the next query."""
        before, self._handled = self._handled, state
        is_new_stage = before is None or before.stage != state.stage
        if is_new_stage and state.stage == "done":
            self._export_after_training(("export", "outlook"))
        self._show_progress()
        if self._dialog is not None:
            self._dialog.follow()
            return
        is_new_step = before is None or before.step != state.step
        if state.stage in ("failed", "canceled") and is_new_stage:
            self._report_failure(state)
        elif (is_new_stage and state.stage == "done") or (is_new_step and state.is_asking):
            self._open_next()

    def _report_failure(self, state: TrainingState) -> None:
        self.background = ""
        self._is_failure_unreported = state.stage == "failed"
        step = "choosing images" if state.is_asking else "training"
        key = captions.key_of(self._shown.keymap, "train")
        self._notices.warn(f"{step} {state.stage}; {key} shows details", is_bell=True)

    def _open_next(self) -> None:
        if self._answers.save_state != "saved":
            self._screen.set_timer(0.1, self._open_next)
            return
        self._answers.call("next", lambda session: session.open())
        state = self._trainer.state if self._trainer else None
        if state and state.stage == "done":
            self.background = ""
            self._screen.app.bell()
            accuracy = f", accuracy {state.accuracy:.1%}" if state.accuracy is not None else ""
            text = f"round {state.round} is trained{accuracy}: new images"
            self._notices.flash(((" ✔ ", theme.GOOD_STRONG), (text, theme.BASE)), seconds=5)

    def _show_progress(self) -> None:
        state = self._trainer.state if self._trainer else None
        if state is None or state.stage not in ("running", "canceling"):
            progress = "exporting" if self._is_exporting and self._is_export_requested else ""
        elif state.is_asking:
            progress = "choosing images"
        else:
            progress = f"training {state.share:.0%}"
        if progress != self.background:
            self.background = progress
            self._shown.draw()

    # What follows a training, and the learner

    def _export_after_training(self, steps: Sequence[Step]) -> None:
        """Export and predict in the background; without it there is only no learner."""
        if self._settings.uses_learner and not self._is_exporting:
            self._start_export(steps, is_requested=False)

    def export_now(self) -> None:
        """Export on request and show the result."""
        if self.is_training:
            self._notices.warn("a training is running: export after it")
        elif self._is_exporting:
            self._notices.warn("an export, or the prediction after it, is running: try again later")
        else:
            self._notices.inform("exporting in the background")
            uses_learner = self._settings.uses_learner
            self._start_export(
                ("export", "outlook") if uses_learner else ("export",), is_requested=True
            )

    @property
    def _is_exporting(self) -> bool:
        return self._export is not None and self._export.is_running

    def _start_export(self, steps: Sequence[Step], *, is_requested: bool) -> None:
        def follow(state: TrainingState) -> None:
            if state.stage in ("done", "failed"):
                failure = state.reason.splitlines()[-1] if state.reason else ""
                self._screen.call_later(self._exported, failure, is_requested)

        self._export = Trainer(self._settings.train_command, steps, on_change=follow)
        self._is_export_requested = is_requested
        self._export.start()
        self._show_progress()

    def _exported(self, failure: str, is_requested: bool) -> None:  # noqa: FBT001 - a callback
        """Load the learner of the new sampler; show the result if it was requested."""
        self._is_export_requested = False
        self._show_progress()
        if not failure and self._settings.uses_learner:
            self._answers.call_quietly(lambda session: session.load_learner())
            self._answers.call_quietly(lambda session: session.rank_ahead())
        if is_requested and failure:
            self._notices.warn(f"not exported: {failure}", is_bell=True)
        elif is_requested:
            self._notices.inform("exported; the files are in the folder artifacts", seconds=5)

    def prepare_learner(self) -> None:
        """Load the learner; with a sampler, create the predictions that it needs."""
        self._load_learner()
        if self._learner_for is not None and self._settings.has_sampler():
            self._export_after_training(("outlook",))

    def _load_learner(self) -> None:
        """Load the learner of this round; it needs the exported sampler."""
        self._learner_for = self._shown.view.round
        if self._learner_for is not None and self._settings.uses_learner:
            self._answers.call_quietly(lambda session: session.load_learner())

    def _rank_ahead(self) -> None:
        """Rank the next images while the last images of this query are answered."""
        view = self._shown.view
        if view.round != self._learner_for:  # another person has trained
            self._load_learner()
        if self._ranked_for == view.round or view.progress.left * LAST_PART > view.progress.size:
            return
        self._ranked_for = view.round
        if view.learner == "none" and self._settings.has_sampler():
            self._export_after_training(("outlook",))
        else:
            self._answers.call_quietly(lambda session: session.rank_ahead())

    # Keys

    def finish(self) -> None:
        """Finish the round and train, or show the running or failed training."""
        if self.is_training or self._is_failure_unreported:
            self.offer_training()
        elif self._shown.view.state == "waiting":
            self._answers.call("open", lambda session: session.open())
        else:
            self._train(self.next_steps(), is_started=False)

    def synthesize(self, count: int) -> None:
        """Train, then ask synthetic images in the next query."""
        self._train(self.next_steps(synthetic=count), is_started=True)

    def _train(self, steps: Sequence[Step], *, is_started: bool) -> None:
        """Offer or start the training; confirm first if images are not answered."""
        view = self._shown.view
        if view.state != "labeling":
            self.offer_training(is_started=is_started, steps=steps)
            return

        lines = (
            f"{view.progress.left} of {view.progress.size} images are not answered.",
            "You can continue labeling them while it trains; then they return to the pool.",
        )
        dialog = ConfirmDialog("finish the round now?", lines, "train now", "continue labeling")
        self._confirm(dialog, partial(self.offer_training, is_started=True, steps=steps))

    def _confirm(self, dialog: ConfirmDialog, then: Callable[[], object]) -> None:
        def go(is_sure: bool | None) -> None:  # noqa: FBT001 - Textual's callback
            if is_sure:
                then()

        self._screen.app.push_screen(dialog, go)

    def quit(self) -> None:
        """Leave after a pending answer is saved."""
        leave = partial(self._screen.post_message, messages.Leaving())
        if self.is_training:
            lines = ("A training is running. Leaving stops it; it resumes next time.",)
            self._confirm(ConfirmDialog("leave now?", lines, "leave", "stay"), leave)
        else:
            leave()

    def stop_processes(self) -> None:
        """Stop all child processes."""
        if self._export:
            self._export.stop(EXPORT_STOP_S)
        if self._trainer:
            self._trainer.stop()

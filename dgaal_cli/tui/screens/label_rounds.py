"""From one round to the next: training in a dialog or beside the labeling, and what follows it."""

from collections.abc import Sequence

from dgaal_cli.labeling.more_images import LAST_PART
from dgaal_cli.tui import messages, theme
from dgaal_cli.tui.aftermath import Aftermath
from dgaal_cli.tui.screens.dialogs import ConfirmDialog
from dgaal_cli.tui.screens.label_answers import LabelAnswers
from dgaal_cli.tui.screens.saving import leave
from dgaal_cli.tui.screens.training import Closing, TrainingDialog
from dgaal_cli.tui.trainer import Step, Trainer, TrainingState
from dgaal_cli.tui.widgets import words
from dgaal_cli.tui.widgets.sheet import Sheet


class LabelRounds(LabelAnswers):
    """Keeps labeling possible whatever training does."""

    training: TrainingDialog | None = None
    """The dialog, while it is open."""
    trainer: Trainer | None = None
    """The last training, running or not; it may go on while the operator labels."""
    aftermath: Aftermath | None = None
    """Export and outlook after a training; nothing waits for them."""
    _handled: TrainingState | None = None
    _is_failure_untold = False
    """A training failed in the background; the next dialog says why."""
    _ranked_for: int | None = None
    """Round for which the next images were ranked."""
    _learner_for: int | None = None
    """Round for which the learner was asked for."""

    @property
    def is_training(self) -> bool:
        """Whether a training process runs."""
        return self.trainer is not None and self.trainer.is_running

    # Training

    def round_answered(self) -> None:
        """Offer the next round, or more images while it trains already."""
        if self.is_training and self.training is None:
            self.call("more", lambda session: session.keep_labeling())
        else:
            self.offer_training()

    def offer_training(
        self, *, is_started: bool = False, steps: Sequence[Step] | None = None
    ) -> None:
        """Open the training dialog; on a training that runs already, if one does."""
        is_told = is_started or not self._is_failure_untold
        running = self.trainer if self.is_training or not is_told else None
        self._is_failure_untold = False
        self.training = TrainingDialog(
            words.round_summary(self.view),
            steps or self.next_steps(),
            self._make_trainer,
            is_started=is_started and running is None,
            trainer=running,
            clock=self.settings.clock,
            sheet=Sheet(self.settings.mode, self.settings.make_reader),
            drawn_in=self.settings.drawn_in,
        )
        self.app.push_screen(self.training, self._after_dialog)

    def next_steps(self, *, synthetic: int = 0) -> tuple[Step, ...]:
        """What comes after this query."""
        ask: Step = f"query --synthetic {synthetic}" if synthetic else "query"
        if self.view.next_step == "query":
            return (ask,)
        is_spent = 0 < self.view.budget <= self.view.spent
        return ("train",) if is_spent else ("train", ask)

    def _make_trainer(self, steps: Sequence[Step]) -> Trainer:
        aftermath, self.aftermath = self.aftermath, None

        def hear(state: TrainingState) -> None:
            self.post_message(messages.TrainingNews(state))

        self._handled = None
        self.trainer = Trainer(
            self.settings.train_command,
            steps,
            before_query=self.bridge.finish_query,
            on_change=hear,
            before_start=aftermath.stop if aftermath else None,
            clock=self.settings.clock,
        )
        return self.trainer

    def _after_dialog(self, closing: Closing | None) -> None:
        self.training = None
        if closing == "undo":
            self.call("undo", lambda session: session.undo())
        elif closing == "background":
            self._label_meanwhile()
        elif closing == "review":
            self._tell_progress()
            self.do_review()
        else:
            self.call("open", lambda session: session.open())

    def _label_meanwhile(self) -> None:
        self.look_again()
        self._tell_progress()
        stage = self.trainer.state.stage if self.trainer else "failed"
        if stage == "done":
            self._open_next()
        elif stage in ("failed", "canceled"):
            self.call("more", lambda session: session.label_on())
        elif self.view.state != "labeling":
            self.call("more", lambda session: session.keep_labeling())

    def on_training_news(self, news: messages.TrainingNews) -> None:
        """Follow a training that runs beside the labeling; start what comes after it."""
        before, self._handled = self._handled, news.state
        is_new_stage = before is None or before.stage != news.state.stage
        if is_new_stage and news.state.stage == "done":
            self.start_aftermath(("export", "outlook"))
        if self.training is not None:
            self.training.follow()
            return
        self._tell_progress()
        is_new_step = before is None or before.step != news.state.step
        if news.state.stage in ("failed", "canceled") and is_new_stage:
            self._tell_failure(news.state)
        elif (is_new_stage and news.state.stage == "done") or (
            is_new_step and news.state.step.startswith("query")
        ):
            self._open_next()

    def _tell_failure(self, state: TrainingState) -> None:
        self.background = ""
        self._is_failure_untold = state.stage == "failed"
        what = "choosing images" if state.step.startswith("query") else "training"
        self.warn(f"{what} {state.stage}; nothing is lost, t tells more", is_bell=True)

    def _open_next(self) -> None:
        if self.pending or self.busy:
            self.set_timer(0.1, self._open_next)
            return
        self.call("next", lambda session: session.open())
        state = self.trainer.state if self.trainer else None
        if state and state.stage == "done":
            self.background = ""
            self.app.bell()
            accuracy = f", accuracy {state.accuracy:.1%}" if state.accuracy is not None else ""
            told = f"round {state.round} is trained{accuracy}: new images"
            self.flash(((" ✔ ", theme.GOOD_STRONG), (told, theme.BASE)), seconds=5)

    def _tell_progress(self) -> None:
        state = self.trainer.state if self.trainer else None
        if state is None or state.stage not in ("running", "canceling"):
            said = ""
        elif state.step.startswith("query"):
            said = "choosing images"
        else:
            said = f"training {state.share:.0%}"
        if said != self.background:
            self.background = said
            self.draw()

    # What follows a training, and the learner

    def start_aftermath(self, steps: Sequence[Step]) -> None:
        """Export and look at the pool in the background; failure costs nothing but the learner."""
        if self.settings.is_learner_wanted and not self._is_exporting:
            self._start_aftermath(steps, is_asked=False)

    def export_now(self) -> None:
        """Export because the operator asks for it, who hears how it ends."""
        if self.is_training:
            self.warn("a training runs: export what it makes after it")
        elif self._is_exporting:
            self.warn("an export runs already, or the look at the pool after it: ask again later")
        else:
            self.tell("exporting in the background")
            is_wanted = self.settings.is_learner_wanted
            self._start_aftermath(
                ("export", "outlook") if is_wanted else ("export",), is_asked=True
            )

    @property
    def _is_exporting(self) -> bool:
        return self.aftermath is not None and self.aftermath.is_running

    def _start_aftermath(self, steps: Sequence[Step], *, is_asked: bool) -> None:
        def done(*, is_done: bool, reason: str) -> None:
            self.post_message(messages.Exported(reason, is_done=is_done, is_asked=is_asked))

        self.aftermath = Aftermath(self.settings.train_command, steps, done)
        self.aftermath.start()

    def on_exported(self, message: messages.Exported) -> None:
        """Learn by the new sampler; tell who waits for it."""
        if message.is_done and self.settings.is_learner_wanted:
            self.call_quietly(lambda session: session.load_learner())
            self.call_quietly(lambda session: session.rank_ahead())
        if message.is_asked and message.is_done:
            self.tell("exported; the files are in the folder artifacts", seconds=5)
        elif message.is_asked:
            self.warn(f"not exported: {message.reason}", is_bell=True)

    def prepare_learner(self) -> None:
        """After the first frame: load the learner, or make what it needs if a sampler is there."""
        self._learner_for = self.view.round
        if self.view.round is None or not self.settings.is_learner_wanted:
            return
        self.call_quietly(lambda session: session.load_learner())
        if self.settings.has_sampler():
            self.start_aftermath(("outlook",))

    def query_opened(self) -> None:
        """Learn within the new round too, as soon as its sampler is exported."""
        self._learner_for = self.view.round
        if self.view.round is not None and self.settings.is_learner_wanted:
            self.call_quietly(lambda session: session.load_learner())

    def query_went_on(self) -> None:
        """Rank the next images while the last of this query are answered."""
        p, number = self.view.progress, self.view.round
        if number != self._learner_for:  # somebody else has trained
            self.query_opened()
        if self._ranked_for == number or p.left * LAST_PART > p.size:
            return
        self._ranked_for = number
        if self.view.learner == "none" and self.settings.has_sampler():
            self.start_aftermath(("outlook",))
        else:
            self.call_quietly(lambda session: session.rank_ahead())

    def do_train(self) -> None:
        """Finish the round."""
        if self.is_training or self._is_failure_untold:
            self.offer_training()
            return
        if self.view.state == "waiting":
            self.call("open", lambda session: session.open())
            return
        if self.view.state != "labeling":
            self.offer_training()
            return
        self.confirm_finish(self.next_steps())

    def confirm_finish(self, steps: Sequence[Step]) -> None:
        """Ask before a query is left half answered."""

        def go(is_sure: bool | None) -> None:  # noqa: FBT001 - Textual's callback
            if is_sure:
                self.offer_training(is_started=True, steps=steps)

        left = self.view.progress.left
        lines = (
            f"{left} of {self.view.progress.size} images are not answered.",
            "You may go on labeling them while it trains; after that they return to the pool.",
        )
        self.app.push_screen(
            ConfirmDialog("finish the round now?", lines, "train now", "go on labeling"), go
        )

    def do_quit(self) -> None:
        """Leave; an answer in flight is waited for."""
        if not self.is_training:
            leave(self)
            return

        def go(is_sure: bool | None) -> None:  # noqa: FBT001 - Textual's callback
            if is_sure:
                leave(self)

        lines = ("A training runs. Leaving stops it; it goes on from there next time.",)
        self.app.push_screen(ConfirmDialog("leave now?", lines, "leave", "stay"), go)

    def stop_processes(self) -> None:
        """End every process that would outlive its terminal."""
        if self.aftermath:
            self.aftermath.stop()
        if self.trainer:
            self.trainer.stop()

    def do_review(self) -> None:
        """Look at answers again and change them."""
        raise NotImplementedError

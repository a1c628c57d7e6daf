"""The training dialog: summary of the answers, progress of the training, result."""

from collections.abc import Callable, Sequence
from typing import Literal

from rich.cells import cell_len
from textual.content import Content
from textual.events import Key
from textual.widget import Widget
from textual.widgets import Static

from dgaal_cli.escaping import show
from dgaal_cli.tui.phrases import labels
from dgaal_cli.tui.screens.dialogs import Dialog, LogDialog, keys_line, text
from dgaal_cli.tui.settings import Settings
from dgaal_cli.tui.trainer import Step, Trainer, TrainingState
from dgaal_cli.tui.widgets.gauges import health_lines, loss_lines
from dgaal_cli.tui.widgets.lines import duration, pad, progress_bar
from dgaal_cli.tui.widgets.sheet import Sheet

CLOSING_GUARD_S = 0.3
"""Enter is ignored for this time after a change, so that a held Enter skips no result."""

Closing = Literal["next", "back", "undo", "background", "review"]
"""``next``: a new query is open; ``undo``: undo the last answer; ``background``: continue labeling,
during the training or after a failure; otherwise only close."""
SHOWN_LINES = 6
"""Number of last lines of a failed process in the dialog; the log has more."""
_WIDTH = 66


class TrainingDialog(Dialog[Closing]):
    """Offers training, shows its progress and its result."""

    heading = " next round "

    def __init__(
        self,
        summary: Sequence[str],
        steps: Sequence[Step],
        make_trainer: Callable[[Sequence[Step]], Trainer],
        settings: Settings,
        *,
        is_started: bool = False,
        trainer: Trainer | None = None,
    ) -> None:
        """Create the dialog for ``steps``, or for a ``trainer`` that runs."""
        super().__init__()
        self._settings = settings
        self._sheet = Sheet(settings.mode, settings.make_reader)
        self._summary = [show(entry) for entry in summary]
        self._steps = steps
        self._make_trainer = make_trainer
        self._is_started = is_started
        self._clock = settings.clock
        self._changed_at = self._clock()
        self._trainer = trainer
        self.state: TrainingState | None = trainer.state if trainer else None
        """Current state of the run; None before it starts."""

    def body(self) -> Sequence[Widget]:
        """Create summary, progress, sample of images and keys."""
        return [
            Static(text("\n".join(self._summary)), id="summary"),
            Static(offer_text(self._steps), id="progress", classes="gap"),
            self._sheet,
            Static(keys_text(None), id="keys", classes="gap"),
        ]

    def on_mount(self) -> None:
        """Draw, and update the time twice a second."""
        self.set_interval(0.5, self.follow)
        self.follow()
        if self._is_started:
            self._start()

    def on_key(self, event: Key) -> None:
        """Start, cancel, or leave, as the stage allows."""
        event.stop()
        stage = self.state.stage if self.state else "offered"
        if stage in ("running", "canceling"):
            if event.key == "c":
                self.cancel()
            elif event.key in ("b", "r") and stage == "running":
                self.dismiss("background" if event.key == "b" else "review")
            return
        is_late = self._clock() - self._changed_at >= CLOSING_GUARD_S
        is_enter = event.key == "enter" and is_late
        if is_enter and stage != "done":
            self._start()
        elif is_enter or event.key in ("escape", "q"):
            self.dismiss("next" if stage == "done" else "back")
        elif event.key in ("u", "backspace") and stage != "done":
            self.dismiss("undo")
        elif event.key == "r" and stage != "done":
            self.dismiss("review")
        elif event.key == "b" and stage in ("failed", "canceled"):
            self.dismiss("background")
        elif event.key == "l" and self.state is not None and self.state.reason:
            self.app.push_screen(LogDialog(self.state.reason))

    def follow(self) -> None:
        """Show the newest state of the training."""
        old, new = self.state, self._trainer.state if self._trainer else self.state
        self.state = new
        if new is not None and (old is None or old.stage != new.stage):
            self._changed_at = self._clock()
            if new.stage in ("done", "failed"):
                self.app.bell()
        self._draw()

    @property
    def is_running_a_process(self) -> bool:
        """Whether a training is running."""
        return self.state is not None and self.state.stage in ("running", "canceling")

    def cancel(self) -> None:
        """Request that the process saves its state and stops; a second call kills it."""
        if self._trainer:
            self._trainer.cancel()

    def _start(self) -> None:
        self._changed_at = self._clock()
        self._trainer = self._make_trainer(self._steps)
        self.state = self._trainer.state
        self._trainer.start()
        self._draw()

    def _draw(self) -> None:
        if not self.query("#keys"):
            return
        state = self.state
        self.query_one("#progress", Static).update(
            offer_text(self._steps)
            if state is None
            else progress_text(
                state,
                elapsed_s=self._trainer.elapsed_s if self._trainer else 0.0,
                width=min(_WIDTH, int(0.96 * self.app.size.width) - 7),
            )
        )
        self.query_one("#keys", Static).update(keys_text(state))
        if state is not None and state.round is not None:
            self._sheet.show_samples(self._settings.synthetic_of_round(state.round))
        box = self.query_one("#box")
        if state is not None:
            number = f" round {state.round}" if state.round is not None else ""
            title = Content(f" training{number} ")
            if box.border_title != title:  # assigning draws again
                box.border_title = title
        box.set_class(state is not None and state.stage == "failed", "bad")


def offer_text(steps: Sequence[Step]) -> Content:
    """Return what Enter does."""
    if not any(step.startswith("query") for step in steps):
        return text("The budget is spent: a last training measures the result.")
    if "train" not in steps:
        return text("Next: choose new images.")
    return text("Next: train, then choose new images.")


def progress_text(state: TrainingState, *, elapsed_s: float, width: int = _WIDTH) -> Content:
    """Return phase, bar, rate, time left and losses, or the result, or the error."""
    if state.stage == "failed":
        last = state.reason.splitlines()[-SHOWN_LINES:]
        tail = "\n".join(pad(entry, min(cell_len(entry), width)) for entry in last)
        title = "Training failed"
        if state.is_asking:
            title = "The round is trained, but no images were chosen"
        return text((f"{title}; you can continue to label.\n", "bold #ff6b6b"), (tail, "#d7dde5"))
    if state.stage == "canceled":
        return text(
            ("Canceled; the next run resumes from the last checkpoint, if there is one.", "#ffb454")
        )
    parts: list[str | tuple[str, str]] = []
    title = "choosing the next images" if state.is_asking else show(state.title)
    place = f"  {state.position}/{state.count}" if state.count else ""
    if state.stage == "done":
        parts.append(("trained", "bold #8be04a"))
    elif state.stage == "canceling":
        parts.append(("stopping after this step, saving the state …", "bold #ffb454"))
    else:
        parts.append((f"{title}{place}", "bold"))
    parts.append((f"   {duration(elapsed_s)}\n" if state.stage != "done" else "\n", "#8a95a3"))
    done, head, rest = progress_bar(state.share, width - 8)
    parts += [(done + head, "#8be04a"), (rest, "#4c5866")]
    parts.append((f" {state.share:4.0%}\n", "bold"))
    parts.append((_numbers(state) + "\n", "#8a95a3"))
    if state.accuracy is not None:
        parts.append(("accuracy ", "#8a95a3"))
        parts.append((f"{state.accuracy:.1%}", "bold #8be04a"))
        parts.append((f" on {show(state.measured_on)}\n", "#8a95a3"))
    parts += [(f"{line}\n", "#8a95a3") for line in health_lines(state.metrics)]
    if state.chosen is not None:
        images = "image" if state.chosen == 1 else "images"
        parts.append((f"{state.chosen} new {images} chosen\n", ""))
    if state.warning:
        parts.append((f"note: {show(state.warning)}\n", "#ffb454"))
    return text(*parts)


def keys_text(state: TrainingState | None) -> Content:
    """Return the keys of the current stage."""
    if state is None:
        return keys_line(
            ("⏎", "go"), ("u", "undo the last answer"), ("r", "review"), ("Esc", "later")
        )
    if state.stage == "running":
        return keys_line(
            ("b", "label meanwhile"), ("r", "review"), ("c", "save its state and cancel")
        )
    if state.stage == "canceling":
        return keys_line(("c", "again: stop at once"))
    if state.stage == "done":
        return keys_line(("⏎", "label the next images"))
    log = [("l", "log")] if state.reason else []
    again = (("⏎", "try again"), ("b", "keep labeling"))
    return keys_line(*again, *log, ("r", "review"), ("Esc", "back"))


def rate_text(rate: float) -> str:
    """Return steps per second, or seconds per step if they are few."""
    return f"{rate:.1f} steps/s" if rate >= 1 else f"{1 / rate:.1f} s a step"


def _numbers(state: TrainingState) -> str:
    numbers: list[str] = []
    if state.steps:
        numbers.append(f"step {state.done}/{state.steps}")
    if state.rate and state.stage == "running":
        numbers.append(rate_text(state.rate))
    if state.left_s is not None and state.stage == "running":
        numbers.append(f"{duration(state.left_s)} left")
    if state.labels:
        held_out = f", {state.held_out_labels} held out" if state.held_out_labels else ""
        numbers.append(f"{labels(state.labels)}{held_out}")
    if state.device:
        numbers.append(show(state.device))
    losses = loss_lines(state.losses, state.trails) if state.stage == "running" else []
    return "\n".join([" · ".join(numbers), *losses])

"""Progress on stderr: a live line in a terminal, otherwise a plain line every 30 seconds."""

import contextlib
import errno
import sys
import time
from collections.abc import Generator

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, TaskID, TextColumn
from rich.progress import Progress as Bars

from dgaal_cli.escaping import show
from dgaal_cli.events import (
    AnyEvent,
    FeatureProgress,
    PhaseStarted,
    ReadProgress,
    RoundStarted,
    RoundTrained,
    ScoreProgress,
    StepDone,
    Warned,
)

PLAIN_INTERVAL_S = 30.0

_Counted = ReadProgress | ScoreProgress | FeatureProgress


class Progress:
    """Event listener that shows progress in one line."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._bars: Bars | None = None
        self._task = TaskID(0)
        self._title, self._printed_at = "", time.perf_counter()
        self._is_live = sys.stderr.isatty() and self._console.is_terminal

    def __call__(self, event: AnyEvent) -> None:
        """Show an event."""
        with _closed_terminal_ignored():
            self._show(event)

    def _show(self, event: AnyEvent) -> None:
        match event:
            case RoundStarted():
                self._print(_round_line(event))
            case PhaseStarted():
                self._begin(event)
            case StepDone():
                self._advance(event)
            case RoundTrained():
                self.close()
            case Warned():
                self._print(f"[yellow]note:[/] {escape(show(event.message))}")
            case ReadProgress():
                self._count(event, "reading the pool")
            case ScoreProgress():
                self._count(event, "scoring")
            case FeatureProgress():
                self._count(event, "computing features")
            case _:
                pass  # the command prints its result

    def _print(self, markup: str) -> None:
        (self._bars.console if self._bars else self._console).print(markup, soft_wrap=True)

    def _begin(self, event: PhaseStarted) -> None:
        title = f"{event.position}/{event.count} {event.title}"
        if self._is_live:
            self._show_bar(title, f"0/{event.steps}  ", total=event.steps)
        else:
            self._title, self._printed_at = title, time.perf_counter()

    def _advance(self, event: StepDone) -> None:
        losses = "  ".join(f"{name} {value:.3g}" for name, value in event.losses.items())
        left = f"{event.rate:.0f}/s, {_duration(event.left_s)} left in the round"
        note = f"{event.step}/{event.steps}  {left}  {losses}"
        if self._bars is None:
            self._print_periodically(f"{self._title}, {note}")
        else:
            self._bars.update(self._task, completed=event.step, note=note)
            if event.step == event.steps:
                self.close()

    def _count(self, event: _Counted, title: str) -> None:
        if not self._is_live:
            self._print_periodically(f"{title}: {_images(event)}")
            return
        bars = self._bars or self._show_bar(title, "", total=None)
        # The total is known later than the first images: files are still being counted.
        bars.update(self._task, completed=event.done, total=event.total, note=_images(event))
        if event.total is not None and event.done >= event.total:
            self.close()

    def _show_bar(self, title: str, note: str, *, total: int | None) -> Bars:
        self.close()
        columns = (TextColumn("{task.description}"), BarColumn(bar_width=24))
        text = TextColumn("{task.fields[note]}")
        self._bars = Bars(*columns, text, console=self._console, transient=True)
        self._bars.start()
        self._task = self._bars.add_task(title, total=total, note=note)
        return self._bars

    def _print_periodically(self, text: str) -> None:
        if time.perf_counter() - self._printed_at >= PLAIN_INTERVAL_S:
            self._printed_at = time.perf_counter()
            self._print(text)

    def close(self) -> None:
        """Remove the live line and show the cursor again."""
        bars, self._bars = self._bars, None
        if bars is not None:
            with _closed_terminal_ignored():
                bars.stop()


@contextlib.contextmanager
def _closed_terminal_ignored() -> Generator[None]:
    # SIGHUP follows and ends the command; until then it goes on.
    try:
        yield
    except OSError as error:
        if error.errno != errno.EIO:
            raise


def _images(event: _Counted) -> str:
    """Return the number of images, the rate and the remaining time as text."""
    total = left = ""
    if event.total is not None:
        total = f" of {event.total:,}"
        if event.rate > 0:
            left = f", {_duration((event.total - event.done) / event.rate)} left"
    bad = f", {event.unreadable:,} unreadable" if event.unreadable else ""
    return f"{event.done:,}{total} images  {event.rate:,.0f} images/s{left}{bad}"


def _round_line(event: RoundStarted) -> str:
    resumed = f", resumed at {event.resumed_at}" if event.resumed_at else ""
    held_out = f", {event.held_out_labels} more held out," if event.held_out_labels else ""
    synthetic = f" ({event.drawn_labels} more of synthetic images)" if event.drawn_labels else ""
    return (
        f"round {event.round}: {event.method} on {event.labels} labels{synthetic}{held_out} "
        f"and {event.pool} images, {event.device}{resumed}"
    )


def _duration(seconds: float) -> str:
    whole = max(0, round(seconds))
    if whole >= 3600:
        return f"{whole // 3600}:{whole % 3600 // 60:02d}:{whole % 60:02d}"
    return f"{whole // 60}:{whole % 60:02d}"

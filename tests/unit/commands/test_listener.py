"""Progress output: a live bar in a terminal, plain lines elsewhere."""

import io
from typing import cast

import pytest
import typer
from rich.console import Console

from dgaal_cli.commands import _listener
from dgaal_cli.commands._context import Context
from dgaal_cli.commands._listener import Progress
from dgaal_cli.errors import UsageError
from dgaal_cli.events import ReadProgress, RoundStarted, ScoreProgress

HIDDEN, SHOWN = "\x1b[?25l", "\x1b[?25h"


def scored(done: int, total: int | None, unreadable: int = 0) -> ScoreProgress:
    return ScoreProgress(done=done, total=total, rate=250.0, unreadable=unreadable)


def test_plain_progress_line_is_written_every_30_seconds(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [1_000.0]
    monkeypatch.setattr(_listener.time, "perf_counter", lambda: now[0])
    progress = Progress()
    for second in range(65):
        now[0] += 1
        progress(scored(250 * second, 20_000 if second > 40 else None, unreadable=second // 59))
    assert capsys.readouterr().err.splitlines() == [
        "scoring: 7,250 images  250 images/s",
        "scoring: 14,750 of 20,000 images  250 images/s, 0:21 left, 1 unreadable",
    ]


def test_round_line_counts_labels_of_synthetic_images_separately() -> None:
    without_synthetic = RoundStarted(round=4, method="dgaal", labels=200, pool=1297, device="cpu")
    with_synthetic = RoundStarted(
        round=4, method="dgaal", labels=200, pool=1297, device="cpu", drawn_labels=12
    )
    line = "round 4: dgaal on 200 labels{} and 1297 images, cpu"
    assert _listener._round_line(without_synthetic) == line.format("")
    assert _listener._round_line(with_synthetic) == line.format(" (12 more of synthetic images)")


def test_round_line_counts_labels_that_are_held_out() -> None:
    started = RoundStarted(
        round=1, method="vaal", labels=19, held_out_labels=3, pool=300, device="cpu"
    )
    line = "round 1: vaal on 19 labels, 3 more held out, and 300 images, cpu"
    assert _listener._round_line(started) == line


def test_failing_command_shows_the_cursor_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise the cursor stays hidden after Ctrl-C."""
    screen = io.StringIO()
    app = typer.Typer()

    @app.command()
    def fail(ctx: typer.Context) -> None:
        context = Context(directory=None, json=False, quiet=False, at_end=ctx.call_on_close)
        progress = cast("Progress", context.listener())
        progress._is_live = True
        progress._console = Console(file=screen, force_terminal=True)
        progress(scored(64, None))
        assert HIDDEN in screen.getvalue()
        assert SHOWN not in screen.getvalue()
        raise UsageError("stopped")

    with pytest.raises(UsageError):
        app(args=[], standalone_mode=False)
    assert screen.getvalue().count(SHOWN) == 1


def test_bar_accepts_a_total_that_becomes_known_later(capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress()
    progress._is_live = True
    progress._console = Console(file=io.StringIO(), force_terminal=True, width=100)
    progress(scored(64, None))
    bars = progress._bars
    assert bars is not None
    assert bars.tasks[0].total is None
    progress(scored(128, 1_128))
    task = bars.tasks[0]
    assert (task.completed, task.total) == (128, 1_128)
    assert task.fields["note"] == "128 of 1,128 images  250 images/s, 0:04 left"
    progress(scored(1_128, 1_128))
    assert progress._bars is None
    assert capsys.readouterr().err == ""


def test_reading_the_pool_says_what_remains(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [1_000.0]
    monkeypatch.setattr(_listener.time, "perf_counter", lambda: now[0])
    progress = Progress()
    now[0] += 31
    progress(ReadProgress(done=5_000, total=200_000, rate=5_000.0, unreadable=2))
    assert capsys.readouterr().err == (
        "reading the pool: 5,000 of 200,000 images  5,000 images/s, 0:39 left, 2 unreadable\n"
    )

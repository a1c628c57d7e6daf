"""Every screen at four sizes, and the label screen's other faces, letter by letter as recorded.

A change that is meant is recorded by ``DGAAL_SNAPSHOTS=write pytest tests/tui/test_snapshots.py``
and read in the diff. Colors are left to the pictures in ``assets/screens``.
"""

import io
import os
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest
from digit_terminal import (
    answer,
    label_app,
    make_workspace,
    open_grid,
    open_help,
    open_review,
    open_rounds,
    open_training,
    press,
    ready,
    until,
)
from rich.console import Console

from dgaal_cli.tui.app import LabelApp

FOLDER = Path(__file__).with_name("snapshots")
RECORDED_WITH = "8.2"
"""Textual's version; another one may place a border or a footer otherwise."""
SIZES = [(60, 20), (80, 24), (120, 40), (200, 50)]
USUAL = SIZES[1]


async def open_pool_image(app: LabelApp, pilot, clock) -> None:
    await answer(app, pilot, clock, 5)


async def open_synthetic_image(app: LabelApp, pilot, clock) -> None:
    await answer(app, pilot, clock, 6)


SCREENS: dict[str, Callable] = {
    "label": open_pool_image,
    "synthetic": open_synthetic_image,
    "grid": open_grid,
    "review": open_review,
    "rounds": open_rounds,
    "training": open_training,
    "help": open_help,
}


@pytest.fixture
def snapshot():
    """Compare the screen's text with what was recorded under a name, or record it."""
    if not version("textual").startswith(f"{RECORDED_WITH}."):
        pytest.skip(f"recorded with Textual {RECORDED_WITH}, this is {version('textual')}")

    def compare(app: LabelApp, name: str) -> None:
        path, shown = FOLDER / f"{name}.txt", text_of(app)
        if os.environ.get("DGAAL_SNAPSHOTS") == "write":
            FOLDER.mkdir(exist_ok=True)
            path.write_text(shown, "utf-8")
        assert shown.splitlines() == path.read_text("utf-8").splitlines()

    return compare


def text_of(app: LabelApp) -> str:
    """Return what the terminal shows, without the blanks at the ends of lines."""
    width, height = app.size
    console = Console(
        width=width,
        height=height,
        file=io.StringIO(),
        force_terminal=True,
        color_system="truecolor",  # a style keeps what it first became, also for later tests
        record=True,
    )
    console.print(app.screen._compositor.render_update(full=True))
    lines = console.export_text(styles=False).splitlines()
    return "".join(f"{line.rstrip()}\n" for line in lines)


def _cases():
    """Every screen at every size.

    The usual size is in the fast tier, the largest one in the deep tier but for two screens.
    """
    for name in SCREENS:
        for size in SIZES:
            is_deep = size == SIZES[-1] and name not in ("label", "grid")
            tier = pytest.mark.deep if is_deep else pytest.mark.slow
            marks = [] if size == USUAL else [tier]
            yield pytest.param(name, size, id=f"{name}-{size[0]}x{size[1]}", marks=marks)


@pytest.mark.parametrize(("name", "size"), list(_cases()))
async def test_a_screen_is_as_recorded(tmp_path, clock, snapshot, name, size):
    with label_app(make_workspace(tmp_path), clock) as app:
        async with app.run_test(size=size) as pilot:
            await SCREENS[name](app, pilot, clock)
            snapshot(app, f"{name}-{size[0]}x{size[1]}")


async def test_a_label_screen_without_hints_is_as_recorded(tmp_path, clock, snapshot):
    with label_app(make_workspace(tmp_path), clock, hints=False) as app:
        async with app.run_test(size=(80, 24)) as pilot:
            await open_pool_image(app, pilot, clock)
            snapshot(app, "no-hints-80x24")


async def test_finding_a_class_beside_its_image_is_as_recorded(tmp_path, clock, snapshot):
    with label_app(make_workspace(tmp_path), clock) as app:
        async with app.run_test(size=(80, 24)) as pilot:
            await open_pool_image(app, pilot, clock)
            await press(app, pilot, clock, "slash", "e")
            snapshot(app, "find-80x24")


async def test_a_small_terminal_says_so_and_comes_back(tmp_path, clock, snapshot):
    with label_app(make_workspace(tmp_path), clock) as app:
        async with app.run_test(size=(80, 24)) as pilot:
            await open_pool_image(app, pilot, clock)
            await pilot.resize_terminal(39, 12)
            await until(pilot, lambda: app.label_screen.has_class("-too-small"))
            await pilot.pause()
            snapshot(app, "too-small-39x12")
            await pilot.resize_terminal(80, 24)
            await until(pilot, lambda: not app.label_screen.has_class("-too-small"))
            await ready(app, pilot)
            snapshot(app, "label-80x24")


async def test_control_an_answer_more_is_noticed(tmp_path, clock, snapshot, monkeypatch):
    monkeypatch.delenv("DGAAL_SNAPSHOTS", raising=False)
    with label_app(make_workspace(tmp_path), clock) as app:
        async with app.run_test(size=(80, 24)) as pilot:
            await answer(app, pilot, clock, 4)
            with pytest.raises(AssertionError):
                snapshot(app, "label-80x24")

"""Text snapshots of every screen at four sizes, and of other states of the label screen.

Record an intended change with ``DGAAL_SNAPSHOTS=write pytest tests/tui/test_snapshots.py`` and
review the diff. Colors are covered by the screenshots in ``assets/screens``.
"""

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
from label_terminal import text_of

from dgaal_cli.tui.app import LabelApp

FOLDER = Path(__file__).with_name("snapshots")
RECORDED_VERSION = "8.2"
"""Version of Textual; another version may place a border or a footer differently."""
SIZES = [(60, 20), (80, 24), (120, 40), (200, 50)]
USUAL_SIZE = SIZES[1]


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
    """Return a function that compares the screen's text with a snapshot, or records it."""
    if not version("textual").startswith(f"{RECORDED_VERSION}."):
        pytest.skip(f"recorded with Textual {RECORDED_VERSION}, this is {version('textual')}")

    def compare(app: LabelApp, name: str) -> None:
        path, shown = FOLDER / f"{name}.txt", text_of(app)
        if os.environ.get("DGAAL_SNAPSHOTS") == "write":
            FOLDER.mkdir(exist_ok=True)
            path.write_text(shown, "utf-8")
        assert shown.splitlines() == path.read_text("utf-8").splitlines()

    return compare


def _cases():
    """Yield every screen at every size.

    The usual size is in the fast tier; the largest is in the deep tier except for two screens.
    """
    for name in SCREENS:
        for size in SIZES:
            is_deep = size == SIZES[-1] and name not in ("label", "grid")
            tier = pytest.mark.deep if is_deep else pytest.mark.slow
            marks = [] if size == USUAL_SIZE else [tier]
            yield pytest.param(name, size, id=f"{name}-{size[0]}x{size[1]}", marks=marks)


@pytest.mark.parametrize(("name", "size"), list(_cases()))
async def test_screen_equals_its_snapshot(tmp_path, clock, snapshot, name, size):
    with label_app(make_workspace(tmp_path), clock) as app:
        async with app.run_test(size=size) as pilot:
            await SCREENS[name](app, pilot, clock)
            snapshot(app, f"{name}-{size[0]}x{size[1]}")


async def test_label_screen_without_hints_equals_its_snapshot(tmp_path, clock, snapshot):
    with label_app(make_workspace(tmp_path), clock, hints=False) as app:
        async with app.run_test(size=(80, 24)) as pilot:
            await open_pool_image(app, pilot, clock)
            snapshot(app, "no-hints-80x24")


async def test_find_dialog_equals_its_snapshot(tmp_path, clock, snapshot):
    with label_app(make_workspace(tmp_path), clock) as app:
        async with app.run_test(size=(80, 24)) as pilot:
            await open_pool_image(app, pilot, clock)
            await press(app, pilot, clock, "slash", "e")
            snapshot(app, "find-80x24")


async def test_too_small_terminal_shows_a_notice_and_recovers(tmp_path, clock, snapshot):
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


async def test_control_different_number_of_answers_is_caught(
    tmp_path, clock, snapshot, monkeypatch
):
    monkeypatch.delenv("DGAAL_SNAPSHOTS", raising=False)
    with label_app(make_workspace(tmp_path), clock) as app:
        async with app.run_test(size=(80, 24)) as pilot:
            await answer(app, pilot, clock, 4)
            with pytest.raises(AssertionError):
                snapshot(app, "label-80x24")

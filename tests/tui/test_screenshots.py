"""Screenshots of the label terminal, written to ``assets/screens`` for the README.

They use fixed digits, a fixed clock and fixed names, so a run without changes writes the same
bytes.
"""

import re
from pathlib import Path

import pytest
from digit_terminal import (
    answer,
    label_app,
    make_workspace,
    open_grid,
    open_review,
    open_rounds,
    open_training,
)
from textual.widgets import Static

from dgaal_cli.tui.app import LabelApp

SCREENS = Path(__file__).parents[2] / "assets" / "screens"


@pytest.fixture
def app(tmp_path, clock):
    with label_app(make_workspace(tmp_path), clock) as opened:
        yield opened


def screenshot_of(app: LabelApp, name: str) -> str:
    """Return the screenshot as SVG without web fonts and without ids that vary between runs."""
    svg = app.export_screenshot(title="dgaal label")
    svg = re.sub(r"@font-face \{.*?\}", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<!--.*?-->", "", svg, flags=re.DOTALL)
    svg = re.sub(r"terminal-\d+", name, svg)
    svg = svg.replace(' shape-rendering="crispEdges"', "")
    svg = svg.replace("</style>", "rect { shape-rendering: crispEdges }</style>", 1)
    assert "http" not in svg.replace("http://www.w3.org", "")
    return svg


def save_screenshot(app: LabelApp, name: str) -> str:
    """Save the screenshot and return its text."""
    svg = screenshot_of(app, name)
    SCREENS.mkdir(parents=True, exist_ok=True)
    path = SCREENS / f"{name}.svg"
    if not path.exists() or path.read_text("utf-8") != svg:
        path.write_text(svg, "utf-8")
    return text_of(svg)


def text_of(svg: str) -> str:
    return re.sub(r"<[^>]+>", "", svg).replace("&#160;", " ").replace("&#x27;", "'")


async def test_label_screen_wide(app, clock):
    async with app.run_test(size=(120, 40)) as pilot:
        await answer(app, pilot, clock, 5)
        shown = save_screenshot(app, "label")
    for text in (
        "POOL IMAGE",
        "8x8 → 66x66 smooth",
        "89.6%",
        "✔ saved",
        "least like",
        "38%",
        "▸ three",
        "34%",
        "⏎ accepts",
    ):
        assert text in shown


async def test_label_screen_at_80_columns_with_a_synthetic_image(app, clock):
    async with app.run_test(size=(80, 24)) as pilot:
        await answer(app, pilot, clock, 6)
        shown = save_screenshot(app, "label-80x24")
    for text in ("◇ SYNTHETIC IMAGE ◇", "6/30", "✔ saved", "║"):
        assert text in shown


@pytest.mark.parametrize("size", [(60, 20), (200, 50), (40, 12)])
async def test_label_screen_at_other_sizes(app, clock, size):
    async with app.run_test(size=size) as pilot:
        await answer(app, pilot, clock, 2)
        shown = text_of(screenshot_of(app, "x"))
    for text in ("│", "2/30", "✔ saved", "Label", "Help", "Quit"):
        assert text in shown


async def test_grid(app, clock):
    async with app.run_test(size=(120, 40)) as pilot:
        await open_grid(app, pilot, clock)
        shown = save_screenshot(app, "grid")
    for text in ("GRID", "to confirm", "Confirm page", "Relabel", "Doubtful"):
        assert text in shown


async def test_review(app, clock):
    async with app.run_test(size=(120, 40)) as pilot:
        await open_review(app, pilot, clock)
        shown = save_screenshot(app, "review")
    for text in ("REVIEW", "answers, newest first", "⚑", "✗ can't tell", "model: ", "Hinted"):
        assert text in shown


async def test_rounds(app, clock):
    async with app.run_test(size=(120, 40)) as pilot:
        await open_rounds(app, pilot, clock)
        shown = save_screenshot(app, "rounds")
    for text in (
        "ROUNDS",
        "random, measured here",
        "Synthesize",
        "1/1",
        "continue round 4",
    ):
        assert text in shown


async def test_training_dialog(app, clock):
    async with app.run_test(size=(120, 40)) as pilot:
        await open_training(app, pilot, clock)
        progress = app.screen.query_one("#progress", Static)
        assert "generator and critic  2/4" in str(progress.content)
        shown = save_screenshot(app, "training")
    for text in (
        "41.5 steps/s · 19s left · 93 labels · cpu",
        "the encoder uses 15 of its 16 latent values",
        "64% told apart: labeled and pool images",
        "▁",
        "label meanwhile",
    ):
        assert text in shown

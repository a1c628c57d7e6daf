"""Screenshots of the label terminal, written to ``assets/screens`` as the README shows them.

The pictures are drawn from fixed digits, a fixed clock and fixed names, so a run that changes
nothing writes the same bytes.
"""

import hashlib
import json
import re
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
from textual.widgets import Static

from dgaal_cli.config.load import build_config
from dgaal_cli.ids import SampleId
from dgaal_cli.store.labels import LabelStore
from dgaal_cli.store.records import Answer, NewItem, NewSynthetic, Query, QueryEntry
from dgaal_cli.tui.app import LabelApp
from dgaal_cli.tui.bridge import Bridge
from dgaal_cli.tui.render.choose import Mode
from dgaal_cli.tui.screens.grid import GridScreen
from dgaal_cli.tui.screens.review import ReviewScreen
from dgaal_cli.tui.screens.rounds import RoundsScreen
from dgaal_cli.tui.screens.training import TrainingDialog
from dgaal_cli.tui.settings import Settings
from dgaal_cli.tui.trainer import TrainingState
from dgaal_cli.tui.widgets.rows import Rows
from dgaal_cli.tui.widgets.sheet import Sheet
from dgaal_cli.workflows.label import LabelSession
from dgaal_cli.workspace import Workspace

SCREENS = Path(__file__).parents[2] / "assets" / "screens"
NAMES = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
LABELED = 80
ASKED = 30
"""Images of the open query; the seventh is synthetic."""


@lru_cache(maxsize=1)
def scans() -> tuple[np.ndarray, list[str]]:
    """Real handwritten digits, and names that tell what they show."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    pixels = np.round(bunch.images * 255 / 16).astype(np.uint8)[:, :, :, None]
    names = [f"{NAMES[y]}-{i:04d}.png" for i, y in enumerate(bunch.target.tolist()[:200])]
    return pixels, names


class DigitReader:
    def read(self, sample_id: SampleId, *, is_synthetic: bool = False) -> np.ndarray:
        pixels, names = scans()
        number = int(Path(sample_id).stem.partition("-")[2] or Path(sample_id).stem)
        if not is_synthetic:
            return pixels[number]
        label = NAMES[number % 10]
        pair = [i for i, name in enumerate(names) if name.startswith(label)][number // 10 :][:2]
        return pixels[pair].mean(axis=0).astype(np.uint8)

    def file_of(self, sample_id: SampleId, *, is_synthetic: bool = False) -> str:
        return f"/pool/{sample_id}"

    def close(self) -> None:
        pass


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    found = Workspace(tmp_path)
    with LabelStore.create(found.store_path) as store:
        classes = {n: store.add_class(n).uid for n in NAMES}
        names = scans()[1]
        store.add_items(_item(name) for name in names)
        ids = {item.sample_id: item.item_id for item in store.items()}
        for number, accuracy in enumerate((0.571, 0.748, 0.842, 0.896)):
            part = names[20 * number : 20 * number + 20]
            store.save_query(_query(number, [ids[n] for n in part], [{}] * 20))
            for name in part:
                answer = Answer(
                    op_id=name,
                    kind="label",
                    item_id=ids[name],
                    class_uid=classes[name.partition("-")[0]],
                )
                store.submit(answer, annotator="ann", session="s")
            store.close_query(number)
            folder = found.round_path(number)
            folder.mkdir(parents=True)
            metrics = {"labels": 20 * number + 20, "accuracy": accuracy, "measured_count": 500}
            metrics["health"] = {"active_units": 15.0, "latent_units": 16.0}
            metrics["health"] |= {"reconstruction_r2": 0.851, "discriminator_auc": 0.642}
            (folder / "metrics.json").write_text(json.dumps(metrics))
            (folder / "run.json").write_text('{"method": "dgaal"}')
            beside = found.root / "baseline-random" / "rounds" / f"{number:03d}"
            beside.mkdir(parents=True)
            metrics["accuracy"] = accuracy - 0.021 * number
            (beside / "metrics.json").write_text(json.dumps(metrics))
        (fake,) = store.add_synthetic([_synthetic()])
        part = names[LABELED : LABELED + ASKED - 1]
        part.insert(5, part.pop(next(i for i, name in enumerate(part) if name.startswith("five"))))
        asked = [ids[n] for n in part]
        asked.insert(6, fake)
        guesses = [
            {classes[n]: share for n, share in guess(name, rank).items()}
            for rank, name in enumerate(part)
        ]
        guesses.insert(6, guesses[3])
        store.save_query(_query(4, asked, guesses))
    return found


def guess(name: str, rank: int) -> dict[str, float]:
    """What a model might say: right most of the time, in doubt about fives."""
    rest = (0.02, 0.03, 0.04, 0.06, 0.01, 0.05, 0.02, 0.08, 0.07, 0.04)
    shares = dict(zip(NAMES, rest, strict=True))
    likely = name.partition("-")[0]
    shares |= {"three": 0.41, "five": 0.37} if likely == "five" else {likely: 1.1 + 0.12 * rank}
    total = sum(shares.values())
    return {name: share / total for name, share in shares.items()}


def _item(name: str) -> NewItem:
    digest = hashlib.sha256(name.encode()).digest()
    return NewItem(sample_id=SampleId(name), sha256=digest, size_bytes=1, width=8, height=8)


def _synthetic() -> NewSynthetic:
    return NewSynthetic(
        sample_id=SampleId("synthetic/004/000003.png"),
        sha256=b"s" * 32,
        size_bytes=1,
        width=8,
        height=8,
        parent=None,
        round=4,
        inherited=None,
    )


def _query(number: int, asked: list, guesses: list[dict]) -> Query:
    entries = tuple(
        QueryEntry(
            item_id=item,
            rank=rank,
            score=0.981 - 0.004 * rank,
            percentile=99.9 - 0.1 * rank,
            nearest=1 if shares else None,  # type: ignore[arg-type]
            predicted=max(shares, key=lambda uid: shares[uid]) if shares else None,
            probabilities=tuple(shares.items()),
            reason="least like what is labeled so far",
        )
        for rank, (item, shares) in enumerate(zip(asked, guesses, strict=True), start=1)
    )
    return Query(round=number, strategy="dgaal", model_sha=None, entries=entries)


@pytest.fixture
def app(workspace, clock):
    config = build_config({"pool": {"source": "pool"}, "name": "digits", "query": {"budget": 240}})
    bridge = Bridge(
        lambda: LabelSession(
            LabelStore.open(workspace.store_path),
            config=config,
            workspace=workspace,
            annotator="ann",
            clock=clock,
        )
    )
    number = [SampleId(f"synthetic/004/{i:06d}.png") for i in range(10)]
    settings = Settings(
        drawn_in=lambda _round: number,
        mode=Mode.HALF,
        gate_s=0.08,
        hints=True,
        make_reader=DigitReader,
        train_command=lambda step: [step],
        clock=clock,
    )
    yield LabelApp(bridge, bridge.start(), settings)
    bridge.close()


async def ready(app, pilot) -> None:
    screen = app.label_screen
    for _ in range(3000):
        await pilot.pause(0.01)
        deck = screen.deck
        shown = screen.view.history[:5] if deck._thumb_rows else ()
        thumbs = [g for g in shown if deck._thumb(g.item_id, deck._thumb_rows) is None]
        if screen.gate.is_painted and not screen.pending and not screen._flash and not thumbs:
            return
    raise AssertionError("the screen never settled")


async def press(app, pilot, clock, *keys: str) -> None:
    for key in keys:
        clock.now += 1.4
        await pilot.press(key)
        await pilot.pause()


async def answer(app, pilot, clock, count: int) -> None:
    """Answer as the names say; the synthetic image is a three or a nine."""
    for _ in range(count):
        await ready(app, pilot)
        name = Path(app.label_screen.subject.sample_id).stem.partition("-")[0]
        await press(app, pilot, clock, str(NAMES.index(name) if name in NAMES else 3))
    await ready(app, pilot)


async def until(pilot, claim) -> None:
    for _ in range(3000):
        await pilot.pause(0.01)
        if claim():
            return
    raise AssertionError("waited in vain")


def picture_of(app: LabelApp, name: str) -> str:
    """The screenshot without web fonts and without an id that depends on more than the picture."""
    svg = app.export_screenshot(title="dgaal label")
    svg = re.sub(r"@font-face \{.*?\}", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<!--.*?-->", "", svg, flags=re.DOTALL)
    svg = re.sub(r"terminal-\d+", name, svg)
    svg = svg.replace(' shape-rendering="crispEdges"', "")
    svg = svg.replace("</style>", "rect { shape-rendering: crispEdges }</style>", 1)
    assert "http" not in svg.replace("http://www.w3.org", "")
    return svg


def keep(app: LabelApp, name: str) -> str:
    """Write the screenshot; return its text."""
    svg = picture_of(app, name)
    SCREENS.mkdir(parents=True, exist_ok=True)
    path = SCREENS / f"{name}.svg"
    if not path.exists() or path.read_text("utf-8") != svg:
        path.write_text(svg, "utf-8")
    return words(svg)


def words(svg: str) -> str:
    return re.sub(r"<[^>]+>", "", svg).replace("&#160;", " ").replace("&#x27;", "'")


async def test_label_screen_wide(app, clock):
    async with app.run_test(size=(120, 40)) as pilot:
        await answer(app, pilot, clock, 5)
        shown = keep(app, "label")
    for said in (
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
        assert said in shown


async def test_label_screen_at_80_columns_with_a_synthetic_image(app, clock):
    async with app.run_test(size=(80, 24)) as pilot:
        await answer(app, pilot, clock, 6)
        shown = keep(app, "label-80x24")
    for said in ("◇ SYNTHETIC IMAGE ◇", "6/30", "✔ saved", "36x36 smooth"):
        assert said in shown


@pytest.mark.parametrize("size", [(60, 20), (200, 50), (40, 12)])
async def test_label_screen_at_other_sizes(app, clock, size):
    async with app.run_test(size=size) as pilot:
        await answer(app, pilot, clock, 2)
        shown = words(picture_of(app, "x"))
    for said in ("POOL IMAGE", "2/30", "✔ saved", "Label", "Help", "Quit"):
        assert said in shown


async def test_grid(app, clock):
    async with app.run_test(size=(120, 40)) as pilot:
        await answer(app, pilot, clock, 2)
        await press(app, pilot, clock, "g")
        await until(pilot, lambda: isinstance(app.screen, GridScreen) and app.screen.model.cells)
        await until(pilot, lambda: app.screen.gate.is_painted)
        await press(app, pilot, clock, "right", "right", "space", "right", "4", "down")
        shown = keep(app, "grid")
    for said in ("GRID", "to confirm", "Confirm page", "Relabel", "Doubtful"):
        assert said in shown


async def test_review(app, clock):
    async with app.run_test(size=(120, 40)) as pilot:
        await answer(app, pilot, clock, 2)
        await press(app, pilot, clock, "f")
        await ready(app, pilot)
        await answer(app, pilot, clock, 3)
        await press(app, pilot, clock, "x")
        await ready(app, pilot)
        await press(app, pilot, clock, "r")
        await until(pilot, lambda: isinstance(app.screen, ReviewScreen) and app.screen.answers)
        await press(app, pilot, clock, "down", "down", "down", "down")
        await until(pilot, lambda: app.screen.gate.is_painted)
        shown = keep(app, "review")
    for said in ("REVIEW", "answers, newest first", "⚑", "✗ can't tell", "model: ", "Hinted"):
        assert said in shown


async def test_rounds(app, clock):
    async with app.run_test(size=(120, 40)) as pilot:
        await answer(app, pilot, clock, 6)
        await press(app, pilot, clock, "x")
        await ready(app, pilot)
        await press(app, pilot, clock, "h")
        await until(pilot, lambda: isinstance(app.screen, RoundsScreen))
        await until(pilot, lambda: app.screen.query_one("#table", Rows)._rows)
        await pilot.pause()
        shown = keep(app, "rounds")
    for said in (
        "ROUNDS",
        "random, measured beside it",
        "Synthesize",
        "1/1",
        "goes on with round 4",
    ):
        assert said in shown


async def test_training_dialog(app, clock):
    async with app.run_test(size=(120, 40)) as pilot:
        await answer(app, pilot, clock, 2)
        dialog = TrainingDialog(
            ["Round 4: 12 labels, 1 can't tell", "Median 1.4 s an answer"],
            ("train", "query"),
            lambda *_: None,
            clock=clock,
            sheet=Sheet(Mode.HALF, DigitReader),
            drawn_in=app.label_screen.settings.drawn_in,
        )
        await app.push_screen(dialog)
        dialog._state = TrainingState(
            round=4,
            labels=93,
            device="cpu",
            title="generator and critic",
            position=2,
            count=4,
            done=310,
            steps=500,
            rate=41.5,
            left_s=19.0,
            losses={"generator": 0.412, "critic": 1.287},
            trails={
                "generator": tuple(0.4 + 0.6 * 0.9**i + 0.03 * (i % 3) for i in range(24)),
                "critic": tuple(1.2 + 0.2 * (i % 5) / 5 + 0.01 * i for i in range(24)),
            },
            metrics={
                "active_units": 15.0,
                "latent_units": 16.0,
                "reconstruction_r2": 0.851,
                "discriminator_auc": 0.642,
            },
        )
        dialog._draw()
        sheet = dialog.query_one(Sheet)
        await until(pilot, lambda: sheet.size.height == 8 and sheet._wants())
        await until(pilot, lambda: all(map(sheet._prefetcher.get, sheet._wants())))
        await pilot.pause()
        sheet.draw()
        await pilot.pause()
        assert "generator and critic  2/4" in str(dialog.query_one("#progress", Static).content)
        shown = keep(app, "training")
    for said in (
        "41.5/s · 19s left · 93 labels · cpu",
        "latent units in use 15 of 16",
        "AUC 0.64: labeled told from pool",
        "▁",
        "label meanwhile",
    ):
        assert said in shown

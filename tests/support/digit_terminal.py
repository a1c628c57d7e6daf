"""A label terminal with real digits, a fixed clock and fixed names, and functions for its screens.

It is the same in every run, so that screenshots and texts of its screens can be compared.
"""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import numpy as np
from class_labels import as_label

from dgaal_cli.config.load import build_config
from dgaal_cli.ids import SampleId
from dgaal_cli.labeling.session import LabelSession
from dgaal_cli.store.open import open_store, store_location
from dgaal_cli.store.records import Answer, NewItem, NewSynthetic, Query, QueryEntry
from dgaal_cli.tui.app import LabelApp
from dgaal_cli.tui.bridge import Bridge
from dgaal_cli.tui.render.choose import Mode
from dgaal_cli.tui.screens.grid import GridScreen
from dgaal_cli.tui.screens.help import HelpDialog
from dgaal_cli.tui.screens.review import ReviewScreen
from dgaal_cli.tui.screens.rounds import RoundsScreen
from dgaal_cli.tui.screens.training import TrainingDialog
from dgaal_cli.tui.settings import Settings
from dgaal_cli.tui.trainer import TrainingState
from dgaal_cli.tui.widgets.rows import Rows
from dgaal_cli.tui.widgets.sheet import Sheet
from dgaal_cli.workspace import Workspace

NAMES = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
LABELED = 80
ASKED = 30
"""Images of the open query; the seventh is synthetic."""


@lru_cache(maxsize=1)
def scans() -> tuple[np.ndarray, list[str]]:
    """Return real handwritten digits and file names that start with their class."""
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


def make_workspace(root: Path) -> Workspace:
    """Make a workspace after four rounds, with the fifth's query open."""
    found = Workspace(root)
    with store_location(found.store_path).create() as store:
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
                    label=as_label(classes[name.partition("-")[0]]),
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
            baseline = found.root / "baseline-random" / "rounds" / f"{number:03d}"
            baseline.mkdir(parents=True)
            metrics["accuracy"] = accuracy - 0.021 * number
            (baseline / "metrics.json").write_text(json.dumps(metrics))
        (synthetic_id,) = store.add_synthetic([_synthetic()])
        part = names[LABELED : LABELED + ASKED - 1]
        part.insert(5, part.pop(next(i for i, name in enumerate(part) if name.startswith("five"))))
        query_ids = [ids[n] for n in part]
        query_ids.insert(6, synthetic_id)
        guesses = [
            {classes[n]: share for n, share in guess(name, rank).items()}
            for rank, name in enumerate(part)
        ]
        guesses.insert(6, guesses[3])
        store.save_query(_query(4, query_ids, guesses))
    return found


def guess(name: str, rank: int) -> dict[str, float]:
    """Return class probabilities of a plausible model, which is uncertain about fives."""
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


def _query(number: int, query_ids: list, guesses: list[dict]) -> Query:
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
        for rank, (item, shares) in enumerate(zip(query_ids, guesses, strict=True), start=1)
    )
    return Query(round=number, strategy="dgaal", model_sha=None, entries=entries)


@contextmanager
def label_app(workspace: Workspace, clock, *, hints: bool = True) -> Iterator[LabelApp]:
    """Open the terminal, which ``run_test`` starts."""
    config = build_config({"pool": {"source": "pool"}, "name": "digits", "query": {"budget": 240}})
    bridge = Bridge(
        lambda: LabelSession(
            open_store(workspace.store_path),
            config=config,
            workspace=workspace,
            annotator="ann",
            clock=clock,
        )
    )
    number = [SampleId(f"synthetic/004/{i:06d}.png") for i in range(10)]
    settings = Settings(
        synthetic_of_round=lambda _round: number,
        mode=Mode.HALF,
        gate_s=0.08,
        hints=hints,
        make_reader=DigitReader,
        train_command=lambda step: [step],
        clock=clock,
    )
    try:
        yield LabelApp(bridge, bridge.start(), settings)
    finally:
        bridge.close()


async def ready(app, pilot) -> None:
    screen = app.label_screen
    for _ in range(3000):
        await pilot.pause(0.01)
        scene_view = screen.shown.scene_view
        shown = screen.shown.view.history[:5] if scene_view._thumb_rows else ()
        thumbs = [g for g in shown if scene_view._thumb(g.item_id, scene_view._thumb_rows) is None]
        if (
            screen.shown.gate.elapsed_ms() is not None
            and not screen.answers.pending
            and not screen.notices.pieces
            and not thumbs
        ):
            return
    raise AssertionError("the screen did not settle")


async def press(app, pilot, clock, *keys: str) -> None:
    for key in keys:
        clock.now += 1.4
        await pilot.press(key)
        await pilot.pause()


async def answer(app, pilot, clock, count: int) -> None:
    """Answer with the class in the file name; the synthetic image is answered with three."""
    for _ in range(count):
        await ready(app, pilot)
        name = Path(app.label_screen.shown.image.sample_id).stem.partition("-")[0]
        await press(app, pilot, clock, str(NAMES.index(name) if name in NAMES else 3))
    await ready(app, pilot)


async def until(pilot, condition) -> None:
    for _ in range(3000):
        await pilot.pause(0.01)
        if condition():
            return
    raise AssertionError("timed out")


async def open_grid(app: LabelApp, pilot, clock) -> None:
    """Open the grid and mark an image on it."""
    await answer(app, pilot, clock, 2)
    await press(app, pilot, clock, "g")
    await until(pilot, lambda: isinstance(app.screen, GridScreen) and app.screen.model.cells)
    await until(pilot, lambda: app.screen.gate.elapsed_ms() is not None)
    await press(app, pilot, clock, "right", "right", "space", "right", "4", "down")


async def open_review(app: LabelApp, pilot, clock) -> None:
    """Open the review of a few answers, one of them flagged, one without a class."""
    await answer(app, pilot, clock, 2)
    await press(app, pilot, clock, "f")
    await ready(app, pilot)
    await answer(app, pilot, clock, 3)
    await press(app, pilot, clock, "x")
    await ready(app, pilot)
    await press(app, pilot, clock, "r")
    await until(pilot, lambda: isinstance(app.screen, ReviewScreen) and app.screen.answers)
    await press(app, pilot, clock, "down", "down", "down", "down")
    await until(pilot, lambda: app.screen.gate.elapsed_ms() is not None)


async def open_rounds(app: LabelApp, pilot, clock) -> None:
    """Open the round screen after an answer "can't tell"."""
    await answer(app, pilot, clock, 6)
    await press(app, pilot, clock, "x")
    await ready(app, pilot)
    await press(app, pilot, clock, "h")
    await until(pilot, lambda: isinstance(app.screen, RoundsScreen))
    await until(pilot, lambda: app.screen.query_one("#table", Rows)._rows)
    await pilot.pause()


async def open_help(app: LabelApp, pilot, clock) -> None:
    """Open the help page of the label screen."""
    await answer(app, pilot, clock, 1)
    await press(app, pilot, clock, "question_mark")
    await until(pilot, lambda: isinstance(app.screen, HelpDialog))
    await pilot.pause()


async def open_training(app: LabelApp, pilot, clock) -> None:
    """Open the training dialog in the middle of a training."""
    await answer(app, pilot, clock, 2)
    dialog = TrainingDialog(
        ["Round 4: 12 labels, 1 can't tell", "Median 1.4 s an answer"],
        ("train", "query"),
        lambda *_: None,
        app.label_screen.settings,
    )
    await app.push_screen(dialog)
    dialog.state = TrainingState(
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
    await until(pilot, lambda: all(map(sheet._prefetcher.get, sheet._requests())))
    await pilot.pause()
    sheet.draw()
    await pilot.pause()

"""Screenshots of the label terminal, written to ``assets/screens`` as the README shows them.

The pictures are drawn from fixed digits, a fixed clock and fixed names, so a run that changes
nothing writes the same bytes.
"""

import hashlib
import json
import re
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
from dgaal_cli.tui.screens.training import TrainingDialog
from dgaal_cli.tui.settings import Settings
from dgaal_cli.tui.trainer import TrainingState
from dgaal_cli.workflows.label import LabelSession
from dgaal_cli.workspace import Workspace

SCREENS = Path(__file__).parents[2] / "assets" / "screens"
NAMES = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
# Eight by eight digits drawn for this test; one hexadecimal character is one gray of sixteen.
DIGITS = {
    "three": "027dfc500cfa6cf202200af30003cf6000bffc300003afd00600af9007efc600",
    "five": "08ffffc00cf666400cf700000bfffd60015 8afd000007f805607f902dffc400".replace(" ", ""),
    "eight": "008efc3006f6afa009f02fb003fdfe4001cffb0008f42fb008f429f002cffc50",
    "seven": "0affffd0034446f00000bf500006fb0002cff9600afd41000cf500000df20000",
    "four": "0000af10000af70000af700009f85f205ff8bf509fffffc00224bf200000cf00",
    "nine": "03bfe60 0bf66f400df01f9008fbcfb0006bbfa000000fa006206f900 8ffc300".replace(" ", ""),
}


def pixels(name: str) -> np.ndarray:
    grays = [int(c, 16) * 17 for c in DIGITS[name].ljust(64, "0")[:64]]
    return np.array(grays, dtype=np.uint8).reshape(8, 8, 1)


class DigitReader:
    def read(self, sample_id: SampleId, *, is_synthetic: bool = False) -> np.ndarray:
        stem = Path(sample_id).stem.partition("-")[0]
        if is_synthetic:
            mixed = pixels("nine").astype(int) * 6 + pixels("eight").astype(int) * 4
            return (mixed // 10).astype(np.uint8)
        return pixels(stem)

    def file_of(self, sample_id: SampleId, *, is_synthetic: bool = False) -> str:
        return f"/pool/{sample_id}"

    def close(self) -> None:
        pass


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    found = Workspace(tmp_path)
    with LabelStore.create(found.store_path) as store:
        classes = {n: store.add_class(n).uid for n in NAMES}
        names = [f"{name}-{i:04d}.png" for i in range(16) for name in DIGITS]
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
            metrics = {"labels": 20 * number + 20, "accuracy": accuracy}
            (folder / "metrics.json").write_text(json.dumps(metrics))
        (fake,) = store.add_synthetic([_synthetic()])
        asked = [ids[n] for n in names[80:92]]
        asked.insert(6, fake)
        guesses = [{classes[n]: share for n, share in guess(n).items()} for n in names[80:92]]
        guesses.insert(6, guesses[3])
        store.save_query(_query(4, asked, guesses))
    return found


def guess(name: str) -> dict[str, float]:
    """What a model might say: right most of the time, in doubt about fives."""
    rest = (0.02, 0.03, 0.04, 0.06, 0.01, 0.05, 0.02, 0.08, 0.07, 0.04)
    shares = dict(zip(NAMES, rest, strict=True))
    likely = name.partition("-")[0]
    return shares | ({"three": 0.41, "five": 0.37} if likely == "five" else {likely: 0.58})


def _item(name: str) -> NewItem:
    digest = hashlib.sha256(name.encode()).digest()
    return NewItem(sample_id=SampleId(name), sha256=digest, size_bytes=1, width=8, height=8)


def _synthetic() -> NewSynthetic:
    return NewSynthetic(
        sample_id=SampleId("synthetic/004/000000.png"),
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
    settings = Settings(
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
        shown = screen.view.history[:5]
        thumbs = [g for g in shown if deck._thumb(g.item_id, deck._thumb_rows) is None]
        if screen.gate.is_painted and not screen.pending and not screen._flash and not thumbs:
            return
    raise AssertionError("the screen never settled")


async def answer(app, pilot, clock, keys: str) -> None:
    for key in keys:
        await ready(app, pilot)
        clock.now += 1.4
        await pilot.press(key)
        await pilot.pause()
    await ready(app, pilot)


def keep(app: LabelApp, name: str) -> str:
    """Write the screenshot without the web fonts that Rich links to; return its text."""
    svg = app.export_screenshot(title="dgaal label")
    svg = re.sub(r"@font-face \{.*?\}", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<!--.*?-->", "", svg, flags=re.DOTALL)
    svg = svg.replace(' shape-rendering="crispEdges"', "")
    svg = svg.replace("</style>", "rect { shape-rendering: crispEdges }</style>", 1)
    assert "http" not in svg.replace("http://www.w3.org", "")
    SCREENS.mkdir(parents=True, exist_ok=True)
    path = SCREENS / f"{name}.svg"
    if not path.exists() or path.read_text("utf-8") != svg:
        path.write_text(svg, "utf-8")
    return re.sub(r"<[^>]+>", "", svg).replace("&#160;", " ")


async def test_label_screen_wide(app, clock):
    async with app.run_test(size=(120, 40)) as pilot:
        await answer(app, pilot, clock, "87493")
        shown = keep(app, "label")
    for words in (
        "POOL IMAGE",
        "8x8 → 66x66 smooth",
        "89.6%",
        "✔ saved",
        "least like",
        "41%",
        "▸ three",
        "37%",
    ):
        assert words in shown


async def test_label_screen_at_80_columns_with_a_synthetic_image(app, clock):
    async with app.run_test(size=(80, 24)) as pilot:
        await answer(app, pilot, clock, "874935")
        shown = keep(app, "label-80x24")
    for words in ("◇ SYNTHETIC IMAGE ◇", "6/13", "✔ saved", "36x36 smooth"):
        assert words in shown


async def test_training_dialog(app, clock):
    async with app.run_test(size=(120, 40)) as pilot:
        await answer(app, pilot, clock, "87")
        dialog = TrainingDialog(
            ["Round 4: 12 labels, 1 can't tell", "Median 1.4 s an answer"],
            ("train", "query"),
            lambda *_: None,
            clock=clock,
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
        )
        dialog._draw()
        await pilot.pause()
        assert "generator and critic  2/4" in str(dialog.query_one("#progress", Static).content)
        shown = keep(app, "training")
    assert "41.5/s · 19s left · 93 labels · cpu" in shown

"""A small workspace, a fake clock and fake images for the label terminal."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from label_terminal import starter

from dgaal_cli.config.load import build_config
from dgaal_cli.config.schema import Config
from dgaal_cli.ids import SampleId
from dgaal_cli.store.open import store_location
from dgaal_cli.store.records import NewItem, NewSynthetic, Query, QueryEntry
from dgaal_cli.workspace import Workspace

DIGITS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]


class Clock:
    """Seconds that pass only when a test sets them."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class FakeReader:
    """Pixels from a formula; some samples are unreadable."""

    def __init__(self) -> None:
        self.is_closed = False

    def read(self, sample_id: SampleId, *, is_synthetic: bool = False) -> np.ndarray:
        from dgaal_cli.errors import InputDataError

        if "broken" in sample_id:
            raise InputDataError("no image format that dgaal reads")
        seed = int.from_bytes(hashlib.sha256(sample_id.encode()).digest()[:4], "big")
        return np.random.default_rng(seed).integers(0, 256, (8, 8, 1), dtype=np.uint8)

    def file_of(self, sample_id: SampleId, *, is_synthetic: bool = False) -> str:
        return f"/pool/{sample_id}"

    def close(self) -> None:
        self.is_closed = True


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def fake_reader() -> type[FakeReader]:
    return FakeReader


@pytest.fixture
def config() -> Config:
    return build_config({"pool": {"source": "pool"}, "name": "digits"})


@pytest.fixture
def make_workspace(tmp_path: Path) -> Callable[..., Workspace]:
    """Return a function that makes a workspace with an open query for its first images."""

    def make(
        *,
        names: list[str] | None = None,
        classes: list[str] = DIGITS,
        asked: int = 4,
        synthetic: int = 0,
        guess: int | None = None,
    ) -> Workspace:
        names = [f"{i:03d}.png" for i in range(12)] if names is None else names
        (tmp_path / "dgaal.toml").write_text('[pool]\nsource = "pool"\n')
        with store_location(tmp_path / "labels.db").create() as store:
            records = [store.add_class(name) for name in classes]
            store.add_items(_item(name) for name in names)
            ids = {item.sample_id: item.item_id for item in store.items()}
            order = [ids[SampleId(name)] for name in names[:asked]]
            synthetic_ids = store.add_synthetic(_synthetic(i) for i in range(synthetic))
            shares = [(r.uid, 0.91 if i == guess else 0.01) for i, r in enumerate(records)]
            entries = [
                QueryEntry(
                    item_id=item,
                    rank=rank,
                    score=0.5,
                    percentile=99.0,
                    reason="least like the labeled",
                    predicted=records[guess].uid if guess is not None else None,
                    probabilities=tuple(shares) if guess is not None else (),
                )
                for rank, item in enumerate([*order, *synthetic_ids], start=1)
            ]
            if entries:
                query = Query(round=0, strategy="dgaal", model_sha=None, entries=tuple(entries))
                store.save_query(query)
        return Workspace(tmp_path)

    return make


def _item(name: str) -> NewItem:
    digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()
    return NewItem(sample_id=SampleId(name), sha256=digest, size_bytes=9, width=8, height=8)


def _synthetic(number: int) -> NewSynthetic:
    name = f"synthetic/000/{number:06d}.png"
    return NewSynthetic(
        sample_id=SampleId(name),
        sha256=hashlib.sha256(name.encode()).digest(),
        size_bytes=9,
        width=8,
        height=8,
        parent=None,
        round=0,
        inherited=None,
    )


@pytest.fixture
def terminal(make_workspace, config, clock, fake_reader):
    """Return a function that starts a label terminal: ``async with terminal(...) as t``."""
    return starter(make_workspace, config, clock, fake_reader)

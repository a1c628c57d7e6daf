"""Workspaces that tests may damage: a store with an open query, with or without image files."""

import hashlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from dgaal_cli.ids import ItemId, SampleId
from dgaal_cli.store.open import store_location
from dgaal_cli.store.protocol import Store
from dgaal_cli.store.records import NewItem, Query, QueryEntry

DGAAL = [sys.executable, "-c", "from dgaal_cli.cli import main; main()"]
"""Command line of the program, which need not be installed as a command."""


def make_store(
    path: Path, count: int, *, classes: Sequence[str] = ("cat", "dog"), overlap: int = 1
) -> None:
    """Make a store of ``count`` images without files; the query asks all of them."""
    with store_location(path).create() as store:
        for name in classes:
            store.add_class(name)
        store.add_items(_item(f"{number:06d}.png", b"%d" % number) for number in range(count))
        ask_all(store, overlap=overlap)


def make_workspace(
    root: Path,
    names: Sequence[str | bytes],
    *,
    classes: Sequence[str] = ("cat", "dog"),
    side: int = 8,
) -> Path:
    """Make a workspace with images of the given names, all asked; return its folder."""
    import numpy as np
    from PIL import Image

    pool = root / "pool"
    pool.mkdir(parents=True)
    generator = np.random.default_rng(7)
    new: list[NewItem] = []
    for name in names:
        path = os.path.join(os.fsencode(pool), os.fsencode(name))  # noqa: PTH118 - bytes
        os.makedirs(os.path.dirname(path), exist_ok=True)  # noqa: PTH103, PTH120
        image = Image.fromarray(generator.integers(0, 256, (side, side), dtype=np.uint8))
        with open(path, "wb") as stream:  # noqa: PTH123
            image.save(stream, "PNG")
        with open(path, "rb") as stream:  # noqa: PTH123
            new.append(_item(os.fsdecode(name), stream.read(), side=side))
    (root / "dgaal.toml").write_text(
        'version = 1\nname = "harmed"\n'
        f'[pool]\nsource = "pool"\nimage_size = {side}\nchannels = 1\n'
    )
    with store_location(root / "labels.db").create() as store:
        for name in classes:
            store.add_class(name)
        store.add_items(new)
        ask_all(store)
    return root


def ask_all(store: Store, *, overlap: int = 1) -> None:
    """Open the query of round 0 with every image."""
    entries = tuple(
        QueryEntry(item_id=ItemId(item.item_id), rank=rank)
        for rank, item in enumerate(store.items(), start=1)
    )
    query = Query(round=0, strategy="random", model_sha=None, entries=entries)
    store.save_query(query, overlap=overlap)


def _item(name: str, content: bytes, *, side: int = 8) -> NewItem:
    return NewItem(
        sample_id=SampleId(name),
        sha256=hashlib.sha256(content).digest(),
        size_bytes=len(content),
        width=side,
        height=side,
    )

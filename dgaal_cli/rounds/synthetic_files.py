"""Synthetic images of a workspace: PNG files and entries of the store."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from dgaal_cli import atomic
from dgaal_cli.config.schema import Config
from dgaal_cli.data.images import decode, resize
from dgaal_cli.ids import ItemId, SampleId
from dgaal_cli.reports.sheets import encode_png
from dgaal_cli.rounds.dataset import SyntheticRecords
from dgaal_cli.store.protocol import Store
from dgaal_cli.store.records import Label, NewSynthetic
from dgaal_cli.tasks.registry import load_task
from dgaal_cli.workspace import Workspace


def save_synthetic(
    workspace: Workspace,
    store: Store,
    pixels: np.ndarray,
    *,
    number: int,
    parents: Sequence[ItemId | None],
    inherited: Sequence[Label | None],
    is_doubtful: Sequence[bool],
    kind: str,
) -> list[ItemId]:
    """Write images as PNG into the round's folder and add them to the store.

    Files are written first, so that every stored image can be shown. After a kill before the
    store's transaction, the next attempt overwrites the files.

    ``pixels`` is uint8 ``(M, S, S, C)``; ``parents``, ``inherited`` and ``is_doubtful``, the images
    to quarantine, have M elements. File names start with ``kind``.
    """
    folder = workspace.round_path(number) / "synthetic"
    folder.mkdir(parents=True, exist_ok=True)
    new: list[NewSynthetic] = []
    prefix = f"synthetic/{number:03d}/{kind}-"
    existing = sum(item.sample_id.startswith(prefix) for item in store.items() if item.is_synthetic)
    for index, image in enumerate(pixels):
        name = f"{kind}-{existing + index:06d}.png"
        sample_id = SampleId(f"synthetic/{number:03d}/{name}")
        data = encode_png(image, dgaal=sample_id)  # the files of equal images differ
        atomic.write_bytes(folder / name, data)
        new.append(
            NewSynthetic(
                sample_id=sample_id,
                sha256=hashlib.sha256(data).digest(),
                size_bytes=len(data),
                width=image.shape[1],
                height=image.shape[0],
                parent=parents[index],
                round=number,
                inherited=inherited[index],
                is_quarantined=is_doubtful[index],
            )
        )
    return store.add_synthetic(new)


def read_synthetic(
    workspace: Workspace,
    store: Store,
    config: Config,
    *,
    row_of: Mapping[ItemId, int],
    watermark: int | None = None,
) -> SyntheticRecords:
    """Read the workspace's synthetic images, without unlabelable ones.

    ``row_of`` is the pool row of each item. Labels after the event ``watermark`` are excluded.
    """
    task = load_task(config.task)
    codec = task.labels
    index_of = {record.uid: index for index, record in enumerate(store.classes())}
    cannot_tell = store.cannot_tell(watermark=watermark)
    answered = {
        r.item_id: target
        for r in store.labels(watermark=watermark)
        if r.is_synthetic and (target := codec.target(r.label, index_of)) is not None
    }
    items = [
        item
        for item in store.items()
        if item.is_synthetic and item.state == "ok" and item.item_id not in cannot_tell
    ]
    inherited = [
        None if i.inherited is None else codec.target(i.inherited, index_of) for i in items
    ]
    targets = task.learning(max(1, len(index_of))).blank(len(items))
    for at, (item, own) in enumerate(zip(items, inherited, strict=True)):
        target = answered.get(item.item_id, own)
        if target is not None:
            targets[at] = target
    parents = [-1 if item.parent is None else row_of.get(item.parent, -1) for item in items]
    size, channels = config.pool.image_size, config.pool.channels
    pixels = [
        resize(
            decode(synthetic_path(workspace, item.sample_id).read_bytes(), channels=channels),
            size=size,
            channels=channels,
        )
        for item in items
    ]
    return SyntheticRecords(
        item_ids=[item.item_id for item in items],
        pixels=np.stack(pixels) if pixels else np.zeros((0, size, size, channels), np.uint8),
        parents=np.array(parents, dtype=np.int64),
        targets=targets,
        is_labeled=np.array([item.item_id in answered for item in items], dtype=bool),
        is_inherited=np.array([target is not None for target in inherited], dtype=bool),
    )


def synthetic_path(workspace: Workspace, sample_id: SampleId) -> Path:
    """Return the file of an image: ``synthetic/003/0.png`` is ``rounds/003/synthetic/0.png``."""
    _, number, name = sample_id.split("/")
    return workspace.rounds_path / number / "synthetic" / name

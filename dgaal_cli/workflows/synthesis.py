"""Synthesized images become files and store entries before anything else knows of them."""

import hashlib
import io
from collections.abc import Sequence

import numpy as np

from dgaal_cli import atomic
from dgaal_cli.config.schema import Config
from dgaal_cli.ids import ClassUid, ItemId, SampleId
from dgaal_cli.methods.base import Method, Redrawing
from dgaal_cli.methods.inheritance import doubtful_copies
from dgaal_cli.store.labels import LabelStore
from dgaal_cli.store.records import NewSynthetic
from dgaal_cli.workflows.gather import Gathered
from dgaal_cli.workspace import Workspace


def keep_redrawings(
    workspace: Workspace,
    config: Config,
    store: LabelStore,
    gathered: Gathered,
    method: Method,
    drawn: Redrawing,
) -> int:
    """Store copies of labeled images with their parent's id and inherited label.

    A copy on which T's probability of the inherited label is below ``generation.min_confidence`` is
    set aside: inherited labels are only as good as the generator.

    Returns:
        How many entered the candidate pool.
    """
    data = gathered.data
    is_doubtful = doubtful_copies(
        method, drawn, data, min_confidence=config.generation.min_confidence
    )
    save_synthetic(
        workspace,
        store,
        drawn.pixels,
        number=data.number,
        parents=[data.item_ids[row] for row in drawn.parents],
        inherited=[gathered.classes[int(data.labels[row])].uid for row in drawn.parents],
        is_doubtful=is_doubtful.tolist(),
        kind="copy",
    )
    return int((~is_doubtful).sum())


def save_synthetic(
    workspace: Workspace,
    store: LabelStore,
    pixels: np.ndarray,
    *,
    number: int,
    parents: Sequence[ItemId | None],
    inherited: Sequence[ClassUid | None],
    is_doubtful: Sequence[bool],
    kind: str,
) -> list[ItemId]:
    """Write images as PNG into the round's folder and add them to the store.

    Files come first: an image that the store knows can always be shown. A kill before the store's
    transaction leaves files that the next attempt writes over.

    Args:
        workspace: Where the files go.
        store: Where the entries go.
        pixels: uint8 ``(M, S, S, C)``.
        number: The round.
        parents: M items, or None.
        inherited: M classes, or None.
        is_doubtful: M times whether the image is set aside.
        kind: First part of the file names.
    """
    folder = workspace.round_path(number) / "synthetic"
    folder.mkdir(parents=True, exist_ok=True)
    new: list[NewSynthetic] = []
    prefix = f"synthetic/{number:03d}/{kind}-"
    taken = sum(item.sample_id.startswith(prefix) for item in store.items() if item.is_synthetic)
    for index, image in enumerate(pixels):
        name = f"{kind}-{taken + index:06d}.png"
        sample_id = SampleId(f"synthetic/{number:03d}/{name}")
        data = encode_png(image, sample_id)
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


def encode_png(image: np.ndarray, sample_id: SampleId) -> bytes:
    """Encode uint8 ``(H, W, C)``; the id inside keeps two equal drawings two files."""
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    note = PngInfo()
    note.add_text("dgaal", sample_id)
    picture = Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", pnginfo=note)
    return buffer.getvalue()

"""Synthesized images become files and store entries before anything else knows of them."""

import hashlib
import io
from collections.abc import Sequence

import numpy as np

from dgaal_cli import atomic
from dgaal_cli.config.schema import Config
from dgaal_cli.ids import ClassUid, ItemId, Row, SampleId
from dgaal_cli.methods.base import Method, Redrawing
from dgaal_cli.methods.inheritance import doubtful_copies, parents_of_promoted
from dgaal_cli.rounds.dataset import Gathered, synthetic_images
from dgaal_cli.rounds.state import RUN_NAME, read_record
from dgaal_cli.store.protocol import Store
from dgaal_cli.store.records import NewSynthetic
from dgaal_cli.training.runtime import Runtime
from dgaal_cli.training.seeding import seed_of
from dgaal_cli.workspace import Workspace


def keep_redrawings(
    workspace: Workspace,
    config: Config,
    store: Store,
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
    is_doubtful = doubtful_copies(method, drawn, data, config)
    save_synthetic(
        workspace,
        store,
        drawn.pixels,
        number=data.number,
        parents=[data.item_ids[row] for row in drawn.parents],
        inherited=[gathered.classes[int(data.targets[row])].uid for row in drawn.parents],
        is_doubtful=is_doubtful.tolist(),
        kind="copy",
    )
    return int((~is_doubtful).sum())


def save_synthetic(
    workspace: Workspace,
    store: Store,
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


def synthesize(
    workspace: Workspace,
    config: Config,
    store: Store,
    gathered: Gathered,
    method: Method,
    runtime: Runtime,
) -> int:
    """Redraw the images of the last query; the copies inherit its labels and become candidates.

    Parents that have copies already are left out, so going on after a kill adds nothing twice.
    """
    data = gathered.data
    if not data.can_learn:
        return 0
    row_of = {item_id: Row(row) for row, item_id in enumerate(data.item_ids)}
    kept = -1  # no generator
    if runtime.is_main:
        parents = _parents(workspace, store, gathered, row_of)
        promoted = _promoted(workspace, store, gathered)
        parents += parents_of_promoted(config, data, promoted)
        drawn = method.synthesize(data, parents, seed_of(config.seed, data.number, "synthesis"))
        if drawn is not None:
            kept = keep_redrawings(workspace, config, store, gathered, method, drawn)
    kept = runtime.agree(kept)
    if kept < 0:
        return 0
    data.synthetic = synthetic_images(
        workspace,
        config,
        store,
        row_of=dict(row_of),
        is_held_out=data.is_held_out,
        watermark=gathered.watermark,
    )
    return kept


def _parents(
    workspace: Workspace, store: Store, gathered: Gathered, row_of: dict[ItemId, Row]
) -> list[Row]:
    """Rows of the last query's training labels that are yet to be redrawn.

    What T is measured on, now or once there are labels enough, is no parent: T would learn it from
    the copies.
    A method may give a parent no copy at all, so where this round's copies exist already, only
    labels that came after them are new.
    """
    number = gathered.data.number
    copies = [item for item in store.items() if item.inherited is not None]
    seen = _drawn_until(workspace, store, number)
    asked = {
        r.item_id
        for r in gathered.labels
        if r.round == number - 1 and not r.is_synthetic and r.event_id > seen
    }
    left = sorted(asked - {item.parent for item in copies})
    return [row_of[i] for i in left if i in row_of and not gathered.is_to_measure[row_of[i]]]


def _promoted(workspace: Workspace, store: Store, gathered: Gathered) -> list[int]:
    """Positions of the copies that the last query took as labels and that are yet to be redrawn.

    None of those that must teach nothing, as T is measured on their parents.
    """
    number, own = gathered.data.number, gathered.data.synthetic
    seen = _drawn_until(workspace, store, number)
    taken = {
        r.item_id
        for r in gathered.labels
        if r.round == number - 1 and r.provenance == "inherited" and r.event_id > seen
    }
    return [i for i, item in enumerate(own.item_ids) if item in taken and own.is_labeled[i]]


def _drawn_until(workspace: Workspace, store: Store, number: int) -> int:
    """Up to which event this round's labels were redrawn already; -1 for none."""
    if not any(item.round == number and item.inherited is not None for item in store.items()):
        return -1
    path = workspace.round_path(number) / RUN_NAME
    return int(read_record(path)["watermark"]) if path.is_file() else store.watermark()

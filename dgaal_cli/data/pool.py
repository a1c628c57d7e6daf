"""A whole pool at once: what is in it, and its pixels at the networks' size."""

import contextlib
import hashlib
import os
import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dgaal_cli import atomic, interruption
from dgaal_cli.data.batches import DecodedBatch
from dgaal_cli.data.decoding import decode_stream
from dgaal_cli.data.images import Pixels
from dgaal_cli.data.sources.base import Entry, FileBytes, Source
from dgaal_cli.errors import InputDataError
from dgaal_cli.harmless import show
from dgaal_cli.ids import SampleId

_FEW = 64
"""Up to this many samples are looked up one by one instead of in a pass over the source."""
_KEPT_CACHES = 6
_RULE = "whole-decode"
"""How pixels are made: caches made otherwise do not count."""
_SURVEY_SIDE = 32
_COLOR_GAP = 16
"""Levels between two channels that JPEG's rounding of a gray image never reaches."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surveyed:
    """One readable image of a pool."""

    id: SampleId
    sha256: bytes
    size_bytes: int
    width: int
    height: int
    label: str | None
    split: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What one pass over a pool found."""

    items: tuple[Surveyed, ...]
    unreadable: tuple[tuple[SampleId, str], ...]
    """Id and reason."""
    median_side: int
    """Median of the shorter sides, in pixels."""
    is_color: bool
    """Whether any image has real color."""


def survey(
    source: Source, *, workers: int = 0, on_progress: Callable[[int], None] | None = None
) -> Survey:
    """Read every image of a pool once.

    Args:
        source: The pool.
        workers: Decoder processes; 0 takes one a CPU.
        on_progress: Called with the number of entries done so far.

    Raises:
        InputDataError: The pool holds no readable image.
        InterruptedRunError: A signal asked to stop.
    """
    items: list[Surveyed] = []
    unreadable: list[tuple[SampleId, str]] = []
    is_color = False
    batches = decode_stream(
        source.entries(), size=_SURVEY_SIDE, channels=3, workers=workers, reduces=True
    )
    with contextlib.closing(batches):
        for batch in batches:
            interruption.check("stopped while reading the pool; nothing was changed")
            is_color = is_color or _has_color(batch.pixels)
            _note(batch, items, unreadable)
            if on_progress:
                on_progress(len(items) + len(unreadable))
    if not items:
        raise InputDataError(_nothing_readable(source, unreadable))
    return Survey(
        items=tuple(items),
        unreadable=tuple(unreadable),
        median_side=int(statistics.median_low(min(item.width, item.height) for item in items)),
        is_color=is_color,
    )


def load_pixels(
    source: Source,
    ids: Sequence[SampleId],
    *,
    size: int,
    channels: int,
    cache: Path | None = None,
    workers: int = 0,
) -> Pixels:
    """Return the pixels of many samples at one size.

    With ``cache`` they are decoded once, kept in a file there and mapped into memory read-only; the
    file is written anew when the source, a file's size or time, the ids or the size differ.

    Args:
        source: The pool.
        ids: Samples, in the order wanted.
        size: Side in pixels.
        channels: 1 or 3.
        cache: Folder for decoded pixels, made if missing; None decodes into memory.
        workers: Decoder processes; 0 takes one a CPU.

    Returns:
        uint8 (N, size, size, channels).

    Raises:
        InputDataError: A sample is gone or not readable any more.
        InterruptedRunError: A signal asked to stop.
    """
    entries = _find(source, ids)
    shape = (len(ids), size, size, channels)
    if cache is None or not ids:
        pixels = np.empty(shape, np.uint8)
        for start, block in _blocks(entries, shape, workers):
            pixels[start : start + len(block)] = block
        return pixels
    path = cache / f"pixels-{_digest(source, entries, shape)}.npy"
    mapped = _open_cache(path, shape)
    if mapped is None:
        _write_cache(path, entries, shape, workers)
        mapped = _open_cache(path, shape)
    if mapped is None:
        raise InputDataError(
            f"the pixel cache {show(str(path))} changed while it was read; try again"
        )
    return mapped


def _note(
    batch: DecodedBatch, items: list[Surveyed], unreadable: list[tuple[SampleId, str]]
) -> None:
    for row, entry in enumerate(batch.entries):
        if not batch.ok[row]:
            unreadable.append((entry.id, batch.errors[row]))
            continue
        items.append(
            Surveyed(
                id=entry.id,
                sha256=batch.sha256[row],
                size_bytes=batch.sizes[row],
                width=batch.widths[row],
                height=batch.heights[row],
                label=entry.label,
                split=entry.split,
            )
        )


def _has_color(pixels: Pixels) -> bool:
    return bool((pixels.max(axis=3) - pixels.min(axis=3) > _COLOR_GAP).any())


def _nothing_readable(source: Source, unreadable: list[tuple[SampleId, str]]) -> str:
    if not unreadable:
        return f"the pool {show(source.spec)} is empty; name one that holds images"
    name, reason = unreadable[0]
    return (
        f"none of the {len(unreadable)} files in the pool {show(source.spec)} is a readable image "
        f"(the first, {show(name)}: {reason}); "
        "name a pool of JPEG, PNG, WEBP, BMP, TIFF or GIF images"
    )


def _find(source: Source, ids: Sequence[SampleId]) -> list[Entry]:
    if len(ids) <= _FEW:
        return [source.get(name) for name in ids]
    wanted: dict[SampleId, Entry | None] = dict.fromkeys(ids)
    left = len(wanted)
    for entry in source.entries():
        if entry.id in wanted and wanted[entry.id] is None:
            wanted[entry.id] = entry
            left -= 1
            if not left:
                break
    found = [entry for entry in (wanted[name] for name in ids) if entry is not None]
    if left:
        source.get(next(name for name in ids if wanted[name] is None))  # raises with its sentence
        raise InputDataError(f"the pool {show(source.spec)} changed while it was read; try again")
    return found


def _blocks(
    entries: Iterable[Entry], shape: tuple[int, int, int, int], workers: int
) -> Iterator[tuple[int, Pixels]]:
    _, size, _, channels = shape
    start = 0
    batches = decode_stream(
        entries, size=size, channels=channels, workers=workers, chunk=256, hashes=False
    )
    with contextlib.closing(batches):
        for batch in batches:
            interruption.check("stopped while decoding the pool; nothing was changed")
            if not batch.ok.all():
                bad = int((~batch.ok).argmax())
                raise InputDataError(
                    f"the image {show(batch.entries[bad].id)} was readable and is not any more "
                    f"({batch.errors[bad]}); restore it and try again"
                )
            yield start, batch.pixels
            start += len(batch.entries)


def _digest(source: Source, entries: list[Entry], shape: tuple[int, ...]) -> str:
    digest = hashlib.sha256(repr((_RULE, shape, source.stamp())).encode())
    digest.update(os.fsencode(source.spec))
    for entry in entries:
        digest.update(b"\0" + os.fsencode(entry.id))
        if isinstance(entry.read, FileBytes):
            digest.update(b"\0" + entry.read.stamp().encode())
    return digest.hexdigest()[:32]


def _open_cache(path: Path, shape: tuple[int, ...]) -> Pixels | None:
    try:
        mapped: Pixels = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None  # missing or damaged: it is only a cache
    return mapped if mapped.shape == shape and mapped.dtype == np.uint8 else None


def _write_cache(
    path: Path, entries: list[Entry], shape: tuple[int, int, int, int], workers: int
) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        from dgaal_cli.errors import StorageError

        raise StorageError(f"cannot make {show(str(path.parent))}: {error.strerror}") from error
    with atomic.replacing(path) as stream:
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(stream, header)
        for _, block in _blocks(entries, shape, workers):
            stream.write(np.ascontiguousarray(block).data)
    _drop_old(path)


def _drop_old(path: Path) -> None:
    """Remove all but the newest caches: an edited pool leaves one behind at every change."""
    with contextlib.suppress(OSError):
        caches = sorted(path.parent.glob("pixels-*.npy"), key=lambda item: -item.stat().st_mtime_ns)
        for old in caches[_KEPT_CACHES:]:
            old.unlink()

"""Survey a whole pool, and load its pixels at the size of the networks."""

import contextlib
import dataclasses
import hashlib
import math
import os
import statistics
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from dgaal_cli import atomic, interruption
from dgaal_cli.data.batches import DecodedBatch
from dgaal_cli.data.decode_stream import decode_stream, decode_to, image_digest
from dgaal_cli.data.decoders.base import AS_STATED, Rendering
from dgaal_cli.data.decoders.process import Shape
from dgaal_cli.data.decoders.registry import format_names, is_missing_package
from dgaal_cli.data.grouping import GroupOf, no_rule
from dgaal_cli.data.images import Pixels
from dgaal_cli.data.known_files import KnownFiles
from dgaal_cli.data.reading import Reading, counting
from dgaal_cli.data.sample_range import (
    AUTOMATIC,
    ChosenRange,
    RangeRequest,
    SampleSpread,
    choose_range,
)
from dgaal_cli.data.sources.base import Entry, FileBytes, Source
from dgaal_cli.data.sources.pages import PageBytes
from dgaal_cli.data.unreadable import UnreadableImageError
from dgaal_cli.errors import InputDataError, StorageError
from dgaal_cli.escaping import show
from dgaal_cli.events import Emit, ignore
from dgaal_cli.ids import SampleId

_MAX_LOOKUPS = 64
"""Up to this many samples are looked up one by one instead of in a pass over the source."""
_KEPT_CACHES = 6
_UNCHANGED = "unchanged-"
"""Begins the name of a file which records that a pool did not differ."""
_RULE = "whole-decode-2"
"""How pixels are computed; part of the digest of a cache."""
LOOK = Shape(side=32, channels=3, hashes=True, reduces=True, looks=True)
"""How a survey decodes an image; its percentiles are those of the requested range."""


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
    group: str
    """What it shares with other images; empty: it is a group of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """Result of one pass over a pool."""

    items: tuple[Surveyed, ...]
    unreadable: tuple[tuple[SampleId, str], ...]
    """Id and reason of each."""
    median_side: int
    """Median of the shorter sides, in pixels."""
    is_color: bool
    """Whether any image has real color."""
    range: ChosenRange
    """Range of the samples of more than 8 bits."""
    paged: tuple[SampleId, ...] = ()
    """Images whose files have pages or frames after the first, which are not read."""

    def sizes(self) -> list[tuple[int, int]]:
        """Return width and height of each readable image, in pixels."""
        return [(item.width, item.height) for item in self.items]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """An image that has changed since the pool was surveyed."""

    id: SampleId
    kind: Literal["missing", "changed", "unreadable"]
    """``changed``: the image can be decoded, but its bytes differ."""
    reason: str
    """One or two sentences."""
    detail: str = ""
    """Why the image cannot be decoded, in a few words."""


class ChangedPoolError(InputDataError):
    """Images of the pool are missing, unreadable or replaced."""

    def __init__(self, differences: Sequence[Difference]) -> None:
        """Use the reason of the first difference as message."""
        super().__init__(differences[0].reason)
        self.differences = tuple(differences)


def survey(
    source: Source,
    *,
    workers: int = 0,
    range_request: RangeRequest = AUTOMATIC,
    group_of: GroupOf = no_rule,
    known: KnownFiles | None = None,
    emit: Emit = ignore,
) -> Survey:
    """Read, hash and decode every image of a pool once.

    Args:
        source: The pool.
        range_request: How to choose the range of samples of more than 8 bits.
        group_of: The rule for groups of images for which the source names none.
        workers: Decoder processes; 0 starts one per CPU.
        known: Gets the digest of each file that is read.
        emit: Listener for progress.

    Raises:
        InputDataError: The pool contains no readable image.
        InterruptedRunError: A signal requested a stop.
    """
    found = _Findings(group_of)
    look = dataclasses.replace(LOOK, percentiles=range_request.percentiles)
    batches = decode_to(look, source.entries(), workers=workers, chunk=64)
    with contextlib.closing(batches), counting(source, emit) as total:
        reading = Reading(emit, total)
        for batch in batches:
            interruption.check("stopped while reading the pool; nothing was changed")
            reading.add(len(batch.entries), unreadable=len(batch.entries) - int(batch.ok.sum()))
            found.add(batch)
            if known is not None:
                _remember(batch, known)
    chosen = choose_range(range_request, found.spreads)
    items, unreadable = found.divide(has_range=chosen.range is not None)
    if not items:
        raise InputDataError(_no_images_message(source, unreadable))
    return Survey(
        items=tuple(items),
        unreadable=tuple(unreadable),
        median_side=int(statistics.median_low(min(item.width, item.height) for item in items)),
        is_color=found.is_color,
        range=chosen,
        paged=tuple(found.paged),
    )


def load_pixels(  # noqa: PLR0913 - what to decode, how, and from where
    source: Source,
    ids: Sequence[SampleId],
    *,
    size: int,
    channels: int,
    cache: Path | None = None,
    workers: int = 0,
    sha256: Sequence[bytes] = (),
    rendering: Rendering = AS_STATED,
    emit: Emit = ignore,
) -> Pixels:
    """Return the pixels of many samples at one size.

    With ``cache``, pixels are decoded once, saved in a file and memory-mapped read-only. The file
    is written again if the source, the size or time of a file, the ids or the image size differ.

    Args:
        source: The pool.
        ids: Samples, in the requested order.
        size: Side in pixels.
        channels: 1 or 3.
        cache: Folder for decoded pixels, created if missing; None decodes into memory.
        workers: Decoder processes; 0 starts one per CPU.
        sha256: Expected digests of the samples' encoded bytes; empty disables the check. Cached
            pixels were checked when the cache was written.
        rendering: How samples of more than 8 bits become levels.
        emit: Listener for progress; it stops the decoding if it raises.

    Returns:
        uint8 (N, size, size, channels).

    Raises:
        ChangedPoolError: Samples are missing, unreadable, or do not match ``sha256``.
        InterruptedRunError: A signal requested a stop.
    """
    found, missing = find_entries(source, ids)
    if missing:
        raise ChangedPoolError(missing)
    entries = [found[name] for name in ids]
    shape = (len(ids), size, size, channels)
    batches = decode_stream(
        entries,
        size=size,
        channels=channels,
        workers=workers,
        chunk=256,
        hashes=bool(sha256),
        rendering=rendering,
    )
    blocks = _blocks(batches, len(entries), sha256, emit)
    if cache is None or not ids:
        pixels = np.empty(shape, np.uint8)
        for start, block in blocks:
            pixels[start : start + len(block)] = block
        return pixels
    path = cache / f"pixels-{_digest(source, entries, shape, sha256, rendering)}.npy"
    mapped = _open_cache(path, shape)
    if mapped is None:
        _write_cache(path, blocks, shape)
        mapped = _open_cache(path, shape)
    if mapped is None:
        raise InputDataError(f"the pixel cache {path} changed while it was read; try again")
    return mapped


def read_some(  # noqa: PLR0913 - as load_pixels
    source: Source,
    ids: Sequence[SampleId],
    *,
    size: int,
    channels: int,
    workers: int,
    total: int,
    seconds: float,
    emit: Emit,
    rendering: Rendering = AS_STATED,
) -> None:
    """Decode some images of a pool as ``load_pixels`` does, only to see how fast it goes.

    Args:
        source: The pool.
        ids: Samples to decode; missing ones are left out.
        size: Side in pixels.
        channels: 1 or 3.
        workers: Decoder processes; 0 starts one per CPU.
        total: Number of images of the pool, for the progress.
        seconds: Time after the first batch after which the decoding stops.
        emit: Listener for progress; it stops the decoding if it raises.
        rendering: How samples of more than 8 bits become levels.
    """
    entries: list[Entry] = []
    for name in ids:
        with contextlib.suppress(InputDataError):
            entries.append(source.get(name))
    reading = Reading(emit, lambda: total)
    batches = decode_stream(
        entries, size=size, channels=channels, workers=workers, rendering=rendering
    )
    until = math.inf
    with contextlib.closing(batches):
        for batch in batches:
            interruption.check("stopped while decoding the pool; nothing was changed")
            reading.add(len(batch.entries))
            until = min(until, time.monotonic() + seconds)
            if time.monotonic() > until:
                return


def digest_of(source: Source, sample_id: SampleId) -> bytes | None:
    """Return the SHA-256 of a sample as in ``survey``; None if it is missing or unreadable."""
    try:
        return image_digest(source.get(sample_id).read())
    except InputDataError:
        return None


def find_differences(
    source: Source, ids: Sequence[SampleId], sha256: Sequence[bytes]
) -> list[Difference]:
    """Compare the bytes of some samples with their expected digests; nothing is decoded.

    Returns:
        Samples that are missing, cannot be read, or have other bytes.
    """
    found, differences = find_entries(source, ids)
    for name, expected in zip(ids, sha256, strict=True):
        if name not in found:
            continue
        try:
            digest = image_digest(found[name].read())
        except UnreadableImageError as error:
            differences.append(unreadable(name, error.reason))
            continue
        if digest != expected:
            differences.append(_changed(name))
    return differences


def find_changed(
    source: Source, ids: Sequence[SampleId], sha256: Sequence[bytes], *, cache: Path
) -> list[Difference]:
    """Return what ``find_differences`` finds, without reading files that did not change since.

    A file in the folder ``cache`` records that no image differed, together with the size and time
    of each file.
    """
    found, missing = find_entries(source, ids)
    if missing:
        return missing
    entries = [found[name] for name in ids]
    mark = cache / f"{_UNCHANGED}{_digest(source, entries, (), sha256, AS_STATED)}"
    if mark.exists():
        return []
    differences = find_differences(source, ids, sha256)
    if not differences:
        for old in cache.glob(f"{_UNCHANGED}*"):
            old.unlink(missing_ok=True)
        cache.mkdir(parents=True, exist_ok=True)
        mark.touch()
    return differences


@dataclass(slots=True)
class _Findings:
    """What a survey has found so far."""

    group_of: GroupOf
    images: list[tuple[Surveyed, str]] = field(default_factory=list[tuple[Surveyed, str]])
    """Images and, of one that is readable only with a range of samples, the reason."""
    unreadable: list[tuple[SampleId, str]] = field(default_factory=list[tuple[SampleId, str]])
    spreads: list[SampleSpread] = field(default_factory=list[SampleSpread])
    is_color: bool = False
    paged: list[SampleId] = field(default_factory=list[SampleId])

    def add(self, batch: DecodedBatch) -> None:
        self.is_color = self.is_color or any(batch.is_color)
        for row, entry in enumerate(batch.entries):
            low, high, full = batch.samples[row]
            reason = batch.errors[row]
            is_deep = not math.isnan(low)
            if reason and not is_deep:
                self.unreadable.append((entry.id, reason))
                continue
            if batch.has_pages[row]:
                self.paged.append(entry.id)
            if is_deep:
                self.spreads.append(
                    SampleSpread(lowest=low, highest=high, full=full, is_undefined=bool(reason))
                )
            image = Surveyed(
                id=entry.id,
                sha256=batch.sha256[row],
                size_bytes=batch.sizes[row],
                width=batch.widths[row],
                height=batch.heights[row],
                label=entry.label,
                split=entry.split,
                group=entry.group or self.group_of(entry.id),
            )
            self.images.append((image, reason))

    def divide(self, *, has_range: bool) -> tuple[list[Surveyed], list[tuple[SampleId, str]]]:
        """Return the readable images, and the id and reason of the others."""
        items = [image for image, reason in self.images if has_range or not reason]
        undefined = [(image.id, reason) for image, reason in self.images if reason]
        return items, self.unreadable + ([] if has_range else undefined)


def _remember(batch: DecodedBatch, known: KnownFiles) -> None:
    for row, entry in enumerate(batch.entries):
        if not batch.ok[row] or not isinstance(entry.read, FileBytes):
            continue
        with contextlib.suppress(OSError):
            status = os.stat(entry.read.path)  # noqa: PTH116 - hot
            if (status.st_size, status.st_mtime_ns) == (batch.sizes[row], batch.changed_at[row]):
                known.add(entry.id, status, batch.sha256[row])


def _no_images_message(source: Source, unreadable: list[tuple[SampleId, str]]) -> str:
    if not unreadable:
        return f"the pool {show(source.spec)} is empty; choose one that contains images"
    name, reason = unreadable[0]
    message = (
        f"none of the {len(unreadable)} files in the pool {show(source.spec)} is a readable image"
    )
    missing = next((why for _, why in unreadable if is_missing_package(why)), "")
    if missing:
        return f"{message}: {missing}"
    return f"{message} (the first, {show(name)}: {reason}); use a pool of {format_names()} images"


def find_entries(
    source: Source, ids: Sequence[SampleId]
) -> tuple[dict[SampleId, Entry], list[Difference]]:
    """Return the entries of samples by id, and the missing ones."""
    found: dict[SampleId, Entry] = {}
    if len(ids) > _MAX_LOOKUPS:
        requested = set(ids)
        for entry in source.entries():
            if entry.id in requested:
                found.setdefault(entry.id, entry)
                if len(found) == len(requested):
                    break
    missing: list[Difference] = []
    for name in ids:
        if name not in found:
            try:
                found[name] = source.get(name)
            except InputDataError as error:
                missing.append(Difference(id=name, kind="missing", reason=str(error)))
    return found, missing


def _blocks(
    batches: Generator[DecodedBatch], count: int, sha256: Sequence[bytes], emit: Emit
) -> Iterator[tuple[int, Pixels]]:
    """Yield decoded images; after the last, raise ``ChangedPoolError`` with all that changed."""
    start = 0
    found: list[Difference] = []
    reading = Reading(emit, lambda: count)
    with contextlib.closing(batches):
        for batch in batches:
            interruption.check("stopped while decoding the pool; nothing was changed")
            reading.add(len(batch.entries))
            found += _differences(batch, sha256[start : start + len(batch.entries)])
            if not found:
                yield start, batch.pixels
            start += len(batch.entries)
    if found:
        raise ChangedPoolError(found)


def _differences(batch: DecodedBatch, sha256: Sequence[bytes]) -> Iterator[Difference]:
    for row, entry in enumerate(batch.entries):
        if not batch.ok[row]:
            yield unreadable(entry.id, batch.errors[row])
        elif sha256 and batch.sha256[row] != sha256[row]:
            yield _changed(entry.id)


def unreadable(name: SampleId, detail: str) -> Difference:
    """Return that an image of the pool cannot be decoded or encoded any more, for this reason."""
    reason = f"the image {show(name)} is no longer readable ({detail}); restore it and try again"
    return Difference(id=name, kind="unreadable", reason=reason, detail=detail)


def _changed(name: SampleId) -> Difference:
    reason = (
        f"the image {show(name)} has changed since the workspace was created; "
        "restore it and try again"
    )
    return Difference(id=name, kind="changed", reason=reason)


def _digest(
    source: Source,
    entries: list[Entry],
    shape: tuple[int, ...],
    sha256: Sequence[bytes],
    rendering: Rendering,
) -> str:
    facts = (_RULE, shape, source.stamp(), len(sha256), tuple(rendering))
    digest = hashlib.sha256(repr(facts).encode())
    digest.update(b"".join(sha256))
    digest.update(os.fsencode(source.spec))
    for entry in entries:
        digest.update(b"\0" + os.fsencode(entry.id))
        if isinstance(entry.read, FileBytes | PageBytes):
            digest.update(b"\0" + entry.read.stamp().encode())
    return digest.hexdigest()[:32]


def has_cache(folder: Path) -> bool:
    """Return whether a cache folder has decoded pixels of any pool."""
    return any(folder.glob("pixels-*.npy"))


def _open_cache(path: Path, shape: tuple[int, ...]) -> Pixels | None:
    try:
        mapped: Pixels = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None  # missing or damaged: the cache is written again
    return mapped if mapped.shape == shape and mapped.dtype == np.uint8 else None


def _write_cache(
    path: Path, blocks: Iterator[tuple[int, Pixels]], shape: tuple[int, int, int, int]
) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"cannot create {path.parent}: {error.strerror}") from error
    with atomic.replacing(path) as stream:
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(stream, header)
        for _, block in blocks:
            stream.write(np.ascontiguousarray(block).data)
    _drop_old(path)


def _drop_old(path: Path) -> None:
    """Delete all but the newest caches; every change of the pool creates a new one."""
    with contextlib.suppress(OSError):
        caches = sorted(path.parent.glob("pixels-*.npy"), key=lambda item: -item.stat().st_mtime_ns)
        for old in caches[_KEPT_CACHES:]:
            old.unlink()

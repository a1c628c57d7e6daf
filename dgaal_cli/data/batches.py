"""Decoded images as columns: concatenate and slice without a loop over single images."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from dgaal_cli.data.decoders.process import DecodedMany
from dgaal_cli.data.images import Pixels
from dgaal_cli.data.sources.base import Entry

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodedBatch:
    """Entries with their pixels at one size."""

    entries: list[Entry]
    pixels: Pixels
    """uint8 (n, side, side, C); zero where an entry is unreadable."""
    ok: npt.NDArray[np.bool_]
    """(n,) whether an entry was decoded."""
    errors: list[str]
    """Why an entry is unreadable; empty for readable entries."""
    sha256: list[bytes]
    """Of the encoded bytes, or of shape and bytes if the source contains arrays. Empty unless
    requested."""
    widths: list[int]
    """Widths of the upright originals, in pixels; 0 for unreadable entries."""
    heights: list[int]
    sizes: list[int]
    """Sizes of the encoded files or arrays, in bytes."""
    changed_at: list[int]
    """Modification time of each file, in nanoseconds; 0 if unknown."""


class Assembler:
    """Combines parts of any length into batches of equal length."""

    def __init__(self, chunk: int) -> None:
        """Start without parts; ``chunk`` is the length of all batches but the last."""
        self._chunk = chunk
        self._parts: list[DecodedBatch] = []
        self._count = 0

    def add(self, part: DecodedBatch) -> Iterator[DecodedBatch]:
        """Add a part and yield the batches that are now complete."""
        self._parts.append(part)
        self._count += len(part.entries)
        if self._count < self._chunk:
            return
        joined = _concatenate(self._parts)
        start = 0
        while self._count >= self._chunk:
            yield _slice(joined, start, start + self._chunk)
            start += self._chunk
            self._count -= self._chunk
        self._parts = [_slice(joined, start, start + self._count)] if self._count else []

    def rest(self) -> Iterator[DecodedBatch]:
        """Yield the last, shorter batch, if any."""
        if self._parts:
            yield _concatenate(self._parts)


def concatenate(parts: list[DecodedMany], order: Iterable[int]) -> DecodedMany:
    """Concatenate parts, then reorder their images by ``order``."""
    if len(parts) == 1:
        return parts[0]
    indices = list(order)

    def column(of: Callable[[DecodedMany], list[_T]]) -> list[_T]:
        values = [value for part in parts for value in of(part)]
        return [values[index] for index in indices] if values else []

    return DecodedMany(
        pixels=np.concatenate([part.pixels for part in parts])[indices],
        reasons=column(lambda part: part.reasons),
        sha256=column(lambda part: part.sha256),
        sizes=column(lambda part: part.sizes),
        changed_at=column(lambda part: part.changed_at),
        widths=column(lambda part: part.widths),
        heights=column(lambda part: part.heights),
    )


def batch_of(entries: list[Entry], many: DecodedMany) -> DecodedBatch:
    """Combine entries and their decoded images."""
    ok = np.array([not reason for reason in many.reasons], np.bool_)
    return DecodedBatch(
        entries=entries,
        pixels=many.pixels,
        ok=ok,
        errors=many.reasons,
        sha256=many.sha256,
        widths=many.widths,
        heights=many.heights,
        sizes=many.sizes,
        changed_at=many.changed_at,
    )


def _concatenate(parts: list[DecodedBatch]) -> DecodedBatch:
    if len(parts) == 1:
        return parts[0]

    def column(of: Callable[[DecodedBatch], list[_T]]) -> list[_T]:
        return [value for part in parts for value in of(part)]

    return DecodedBatch(
        entries=column(lambda part: part.entries),
        pixels=np.concatenate([part.pixels for part in parts]),
        ok=np.concatenate([part.ok for part in parts]),
        errors=column(lambda part: part.errors),
        sha256=column(lambda part: part.sha256),
        widths=column(lambda part: part.widths),
        heights=column(lambda part: part.heights),
        sizes=column(lambda part: part.sizes),
        changed_at=column(lambda part: part.changed_at),
    )


def _slice(batch: DecodedBatch, start: int, end: int) -> DecodedBatch:
    if start == 0 and end == len(batch.entries):
        return batch
    return DecodedBatch(
        entries=batch.entries[start:end],
        pixels=batch.pixels[start:end],
        ok=batch.ok[start:end],
        errors=batch.errors[start:end],
        sha256=batch.sha256[start:end],
        widths=batch.widths[start:end],
        heights=batch.heights[start:end],
        sizes=batch.sizes[start:end],
        changed_at=batch.changed_at[start:end],
    )

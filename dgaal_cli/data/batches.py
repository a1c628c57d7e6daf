"""Decoded images as columns: concatenate and slice without a loop over single images."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields
from itertools import chain
from operator import itemgetter
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from dgaal_cli.data.decoders.process import DecodedMany
from dgaal_cli.data.sources.base import Entry

_Columns = TypeVar("_Columns", bound=DecodedMany)


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodedBatch(DecodedMany):
    """Entries with their pixels at one size."""

    entries: list[Entry]
    ok: npt.NDArray[np.bool_]
    """(n,) whether an entry was decoded."""


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

    def reordered(column: Any) -> Any:
        is_list = isinstance(column, list)
        return [column[index] for index in indices if column] if is_list else column[indices]

    return _by_column([_concatenate(parts)], reordered)


def batch_of(entries: list[Entry], many: DecodedMany) -> DecodedBatch:
    """Combine entries and their decoded images."""
    columns = {field.name: getattr(many, field.name) for field in fields(many)}
    ok = np.array([not error for error in many.errors], np.bool_)
    return DecodedBatch(entries=entries, ok=ok, **columns)


def _concatenate(parts: list[_Columns]) -> _Columns:
    if len(parts) == 1:
        return parts[0]

    def joined(*columns: Any) -> Any:
        is_array = isinstance(columns[0], np.ndarray)
        return np.concatenate(columns) if is_array else list(chain.from_iterable(columns))

    return _by_column(parts, joined)


def _slice(batch: DecodedBatch, start: int, end: int) -> DecodedBatch:
    if start == 0 and end == len(batch.entries):
        return batch
    return _by_column([batch], itemgetter(slice(start, end)))


def _by_column(parts: list[_Columns], function: Callable[..., Any]) -> _Columns:
    """Call ``function`` with each column of all parts; return its results as columns."""
    names = [field.name for field in fields(parts[0])]
    columns = {name: function(*(getattr(part, name) for part in parts)) for name in names}
    return type(parts[0])(**columns)

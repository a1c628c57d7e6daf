"""Rows of the score table: ``Row``, a tuple that sorts in table order, and ``Rows``, columns."""

import functools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, NamedTuple, Self, cast

import msgspec
import numpy as np
import numpy.typing as npt

from dgaal_cli.ids import SampleId

COLUMNS = (
    *("rank", "id", "path", "score", "p_unlabeled"),
    *("predicted", "confidence", "status", "error"),
)

BLOCK_ROWS = 1_000
"""Number of rows that are written at once."""

FloatArray = npt.NDArray[np.float32]
Indices = npt.NDArray[np.intp]


class Row(NamedTuple):
    """Result of one image. Tuples compare in table order: best score first, then by id."""

    is_unreadable: bool
    descending: float
    """The negated score, so that the best image sorts first; see ``score``."""
    id: SampleId
    path: str
    p_unlabeled: float | None
    predicted: str
    """Class name; empty if the artifact does not contain a task model."""
    confidence: float | None
    """Probability of ``predicted``, 0..1."""
    error: str
    """Why the image is unreadable; empty for scored images."""

    @property
    def score(self) -> float:
        """A float32 value as a Python float; higher = ask first. 0 for unreadable images."""
        return -self.descending


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rows:
    """Rows as columns of equal length, which are cheap to score, rank and write."""

    is_unreadable: npt.NDArray[np.bool_]
    scores: FloatArray
    """0 for unreadable images."""
    ids: list[SampleId]
    paths: list[str]
    p_unlabeled: FloatArray
    """NaN if missing, like ``confidence``."""
    predicted: list[str]
    confidence: FloatArray
    errors: list[str]

    @classmethod
    def of(cls, rows: Iterable[Row]) -> Self:
        """Convert single rows to columns."""
        found = list(zip(*rows, strict=True)) or [()] * len(Row._fields)
        columns: dict[str, Any] = dict(zip(cls.__slots__, map(list, found), strict=True))
        columns["is_unreadable"] = np.array(columns["is_unreadable"], np.bool_)
        for name in ("scores", "p_unlabeled", "confidence"):
            columns[name] = np.array(columns[name], np.float32)  # None becomes NaN
        columns["scores"] = np.negative(columns["scores"])
        return cls(**columns)

    @classmethod
    def concatenate(cls, parts: "Sequence[Rows]") -> "Rows":
        """Concatenate parts in their order."""
        if len(parts) == 1:
            return parts[0]
        parts = [cls.of(()), *parts]  # np.concatenate needs at least one array
        columns: dict[str, Any] = {}
        for name in cls.__slots__:
            own = [getattr(part, name) for part in parts]
            is_array = isinstance(own[0], np.ndarray)
            columns[name] = np.concatenate(own) if is_array else list(chain.from_iterable(own))
        return cls(**columns)

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.ids)

    def __iter__(self) -> Iterator[Row]:
        """Iterate over single rows."""
        columns = (
            self.is_unreadable.tolist(),
            np.negative(self.scores).tolist(),
            self.ids,
            self.paths,
            _optional(self.p_unlabeled),
            self.predicted,
            _optional(self.confidence),
            self.errors,
        )
        return map(Row._make, zip(*columns, strict=True))

    def take(self, indices: Indices) -> "Rows":
        """Return the rows at these indices, in this order."""
        positions = indices.tolist()
        columns: dict[str, Any] = {}
        for name in self.__slots__:
            own: list[str] | npt.NDArray[Any] = getattr(self, name)
            if isinstance(own, list):
                columns[name] = list(map(own.__getitem__, positions))
            else:
                columns[name] = own[indices]
        return Rows(**columns)

    def readable(self) -> "Rows":
        """Return the rows with a score."""
        if not self.is_unreadable.any():
            return self
        return self.take(np.flatnonzero(~self.is_unreadable))

    def unreadable(self) -> "Rows":
        """Return the rows without a score."""
        return self.take(np.flatnonzero(self.is_unreadable))

    def order(self) -> Indices:
        """Return indices in table order: best score first, ties by id, unreadable rows last."""
        order = np.lexsort((-self.scores, self.is_unreadable))
        scores, last = self.scores[order], self.is_unreadable[order]
        is_tied = (scores[1:] == scores[:-1]) & (last[1:] == last[:-1])
        if is_tied.any():
            # First and last index of each run of ties.
            edges = np.flatnonzero(np.diff(np.concatenate([[False], is_tied, [False]])))
            for start, end in edges.reshape(-1, 2).tolist():
                tied = sorted(order[start : end + 1].tolist(), key=self.ids.__getitem__)
                order[start : end + 1] = tied
        return order

    def blocks(self, indices: Indices, size: int) -> "Iterator[Rows]":
        """Yield the rows at these indices in blocks of at most ``size``."""
        for start in range(0, len(indices), size):
            yield self.take(indices[start : start + size])


def pack(rows: Rows) -> bytes:
    """Encode rows for a temporary file; names may contain bytes that are not UTF-8."""
    arrays = (rows.is_unreadable, rows.scores, rows.p_unlabeled, rows.confidence)
    numbers = [array.tobytes() for array in arrays]
    try:
        return _encoder().encode((numbers, rows.ids, rows.paths, rows.predicted, rows.errors))
    except UnicodeEncodeError:
        ids, paths = list(map(_bytes, rows.ids)), list(map(_bytes, rows.paths))
        return _encoder().encode((numbers, ids, paths, rows.predicted, rows.errors))


def unpack(data: bytes) -> Rows:
    """Decode the bytes that ``pack`` returns."""
    packed = cast("list[Any]", msgspec.msgpack.decode(data))
    (is_unreadable, scores, p_unlabeled, confidence), ids, paths, predicted, errors = packed
    if ids and isinstance(ids[0], bytes):
        ids, paths = [SampleId(_text(name)) for name in ids], list(map(_text, paths))
    return Rows(
        is_unreadable=np.frombuffer(is_unreadable, np.bool_),
        scores=np.frombuffer(scores, np.float32),
        ids=ids,
        paths=paths,
        p_unlabeled=np.frombuffer(p_unlabeled, np.float32),
        predicted=predicted,
        confidence=np.frombuffer(confidence, np.float32),
        errors=errors,
    )


def _optional(values: FloatArray) -> list[float | None]:
    optional: list[float | None] = values.tolist()
    for index in np.flatnonzero(np.isnan(values)).tolist():
        optional[index] = None
    return optional


_encoder = functools.cache(msgspec.msgpack.Encoder)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogatepass")

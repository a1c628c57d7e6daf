"""One line of the score table, in the shape that sorts itself."""

import functools
from collections.abc import Iterable
from itertools import repeat
from typing import Any, NamedTuple, cast

import msgspec
import numpy as np
import numpy.typing as npt

from dgaal_cli.ids import SampleId

COLUMNS = (
    "rank",
    "id",
    "path",
    "score",
    "p_unlabeled",
    "predicted",
    "confidence",
    "status",
    "error",
)


class Row(NamedTuple):
    """What became of one image. Tuples compare in table order: best score first, then by id."""

    is_unreadable: bool
    descending: float
    """The score with its sign turned, so that the best comes first; read ``score``."""
    id: SampleId
    path: str
    p_unlabeled: float | None
    predicted: str
    """Class name; empty where the artifact holds no task model."""
    confidence: float | None
    """Probability of ``predicted``, 0..1."""
    error: str
    """Why it is unreadable; empty for scored images."""

    @property
    def score(self) -> float:
        """float32 as a Python float; higher = ask first. 0 for unreadable images."""
        return -self.descending


def scored(
    sample_id: SampleId,
    path: str,
    score: float,
    p_unlabeled: float | None,
    prediction: tuple[str, float | None],
) -> Row:
    """Build the row of an image with a score; ``prediction`` is class name and probability."""
    return Row(
        is_unreadable=False,
        descending=-score,
        id=sample_id,
        path=path,
        p_unlabeled=p_unlabeled,
        predicted=prediction[0],
        confidence=prediction[1],
        error="",
    )


def scored_many(
    ids: list[SampleId],
    paths: list[str],
    scores: npt.NDArray[np.float32],
    p_unlabeled: npt.NDArray[np.float32] | None,
    predicted: list[str] | None,
    confidence: npt.NDArray[np.float32] | None,
) -> list[Row]:
    """Build the rows of images with scores, column by column: a third of the time of one by one."""
    descending: list[float] = (-scores).tolist()
    columns = (
        [False] * len(ids),
        descending,
        ids,
        paths,
        repeat(None) if p_unlabeled is None else p_unlabeled.tolist(),
        repeat("") if predicted is None else predicted,
        repeat(None) if confidence is None else confidence.tolist(),
        repeat(""),
    )
    return list(map(Row._make, zip(*columns, strict=False)))


def unreadable(sample_id: SampleId, path: str, reason: str) -> Row:
    """Build the row of an image without a score."""
    return Row(
        is_unreadable=True,
        descending=0.0,
        id=sample_id,
        path=path,
        p_unlabeled=None,
        predicted="",
        confidence=None,
        error=reason,
    )


def pack(rows: Iterable[Row]) -> bytes:
    """Encode rows for a temporary file; names keep bytes that are no UTF-8."""
    plain = list(rows)
    try:
        return _encoder().encode(plain)
    except UnicodeEncodeError:
        named = [(*row[:2], _bytes(row.id), _bytes(row.path), *row[4:]) for row in plain]
        return _encoder().encode(named)


def unpack(data: bytes) -> list[Row]:
    """Read ``pack``'s bytes back."""
    packed = cast("list[Any]", msgspec.msgpack.decode(data))
    if packed and isinstance(packed[0][2], bytes):
        packed = [(*row[:2], SampleId(_text(row[2])), _text(row[3]), *row[4:]) for row in packed]
    return list(map(Row._make, packed))


@functools.cache
def _encoder() -> msgspec.msgpack.Encoder:
    return msgspec.msgpack.Encoder()


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogatepass")

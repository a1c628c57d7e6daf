"""Source -> decode -> engine -> rows, as a stream: decoding runs ahead while the engine works."""

import contextlib
from collections import deque
from collections.abc import Callable, Generator, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

import numpy as np
import numpy.typing as npt

from dgaal_cli.artifacts.engines.base import Engine
from dgaal_cli.data.batches import DecodedBatch
from dgaal_cli.data.decode_stream import decode_stream
from dgaal_cli.data.sources.base import Entry, FileBytes
from dgaal_cli.errors import ArtifactError
from dgaal_cli.escaping import show
from dgaal_cli.scoring.rows import FloatArray, Rows
from exporters.manifest import Manifest

_HANDED = 4
"""Batches handed to the engine for each of its calls: enough work while a journal is synced."""
_HANDED_BYTES = 32 * 2**20
"""Pixels handed over at most, beyond the one batch that every call needs."""

_Outputs = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredBatch:
    """Some entries of a source, in its order."""

    entries: list[Entry]
    rows: Rows
    """One an entry."""
    features: FloatArray | None
    """(n, Z) of the readable entries; None unless asked for."""
    stamps: list[str]
    """Size and time of change of the file behind each entry, as it was when it was read."""


def score_entries(
    entries: Iterable[Entry],
    manifest: Manifest,
    start_engine: Callable[[], Engine],
    *,
    batch: int,
    workers: int = 0,
    with_features: bool = False,
    reduces: bool = False,
) -> Generator[ScoredBatch]:
    """Score a stream of entries.

    Every call of the engine has exactly ``batch`` images, the last one filled up with black ones,
    and an unreadable image leaves its place empty: where an image stands in a call depends on the
    order of the source alone, not on workers or on which neighbors could be read.

    Args:
        entries: What to score.
        manifest: What the sampler artifact says of itself.
        start_engine: Starts the engine; called while the first images are being decoded. Its
            ``calls`` batches are run side by side.
        batch: Images a call.
        workers: Decoder processes; 0 takes one a CPU.
        with_features: Whether to keep the encoder's features.
        reduces: Whether JPEG may be decoded at reduced size.

    Raises:
        ArtifactError: A score is not finite.
    """
    stream = decode_stream(
        entries,
        size=manifest.input_size,
        channels=manifest.channels,
        workers=workers,
        chunk=batch,
        hashes=False,
        reduces=reduces,
    )
    with contextlib.closing(stream):
        engine, batches = _started(start_engine, stream)
        waiting: deque[tuple[DecodedBatch, Future[_Outputs]]] = deque()
        with ThreadPoolExecutor(engine.calls, thread_name_prefix="dgaal-engine") as calls:
            try:
                for decoded in batches:
                    waiting.append((decoded, calls.submit(_run, engine, decoded, batch)))
                    window = _window(engine, decoded)
                    while waiting and (len(waiting) > window or waiting[0][1].done()):
                        yield _scored(*waiting.popleft(), manifest, with_features=with_features)
                while waiting:
                    yield _scored(*waiting.popleft(), manifest, with_features=with_features)
            finally:
                calls.shutdown(wait=True, cancel_futures=True)


def _started(
    start_engine: Callable[[], Engine], stream: Generator[DecodedBatch]
) -> tuple[Engine, Iterable[DecodedBatch]]:
    """Start the engine while the first batch is decoded; return it, and all batches."""
    with ThreadPoolExecutor(1, thread_name_prefix="dgaal-start") as starter:
        starting = starter.submit(start_engine)
        first = list(islice(stream, 1))
        return starting.result(), chain(first, stream)


def _window(engine: Engine, decoded: DecodedBatch) -> int:
    affordable = _HANDED_BYTES // max(1, decoded.pixels.nbytes)
    return max(engine.calls, min(_HANDED * engine.calls, affordable))


def _run(engine: Engine, decoded: DecodedBatch, batch: int) -> _Outputs:
    if not decoded.ok.any():
        return {}
    images = decoded.pixels
    if len(images) < batch:
        filled = np.zeros((batch, *images.shape[1:]), np.uint8)
        filled[: len(images)] = images
        images = filled
    return engine.run({"images": images})


def _scored(
    decoded: DecodedBatch, call: Future[_Outputs], manifest: Manifest, *, with_features: bool
) -> ScoredBatch:
    outputs = call.result()
    return ScoredBatch(
        entries=decoded.entries,
        rows=_rows(decoded, outputs, manifest.classes),
        features=_features(decoded, outputs) if with_features else None,
        stamps=_stamps(decoded),
    )


def stamp_of(entry: Entry) -> str:
    """Return what tells a changed file, by looking now; empty for what is no file."""
    return entry.read.stamp() if isinstance(entry.read, FileBytes) else ""


def _stamps(decoded: DecodedBatch) -> list[str]:
    """Return what tells a changed file: from its decoder if it read it, else by looking now."""
    if not any(isinstance(entry.read, FileBytes) for entry in decoded.entries):
        return [""] * len(decoded.entries)
    columns = zip(decoded.entries, decoded.sizes, decoded.changed_at, strict=True)
    return [
        f"{size}:{changed_at}" if changed_at else stamp_of(entry)
        for entry, size, changed_at in columns
    ]


def _rows(decoded: DecodedBatch, outputs: _Outputs, classes: tuple[str, ...]) -> Rows:
    count = len(decoded.entries)
    scores, p_unlabeled = np.zeros(count, np.float32), np.full(count, np.nan, np.float32)
    predicted: list[str] = [""] * count
    confidence = p_unlabeled
    if outputs:
        scores = np.asarray(outputs["score"], np.float32).reshape(-1)[:count]
        _check_finite(scores, decoded)
    if "p_unlabeled" in outputs:
        p_unlabeled = np.asarray(outputs["p_unlabeled"], np.float32).reshape(-1)[:count]
    if "probabilities" in outputs and classes:
        probabilities = np.asarray(outputs["probabilities"], np.float32)[:count]
        best = probabilities.argmax(axis=1)
        predicted = [classes[n] for n in best.tolist()]
        confidence = probabilities[np.arange(count), best]
    if not decoded.ok.all():  # a place without an image has outputs, too, that mean nothing
        scores = np.where(decoded.ok, scores, np.float32(0))
        p_unlabeled = np.where(decoded.ok, p_unlabeled, np.float32(np.nan))
        confidence = np.where(decoded.ok, confidence, np.float32(np.nan))
        for place in np.flatnonzero(~decoded.ok).tolist():
            predicted[place] = ""
    return Rows(
        is_unreadable=~decoded.ok,
        scores=scores,
        ids=[entry.id for entry in decoded.entries],
        paths=[entry.path for entry in decoded.entries],
        p_unlabeled=p_unlabeled,
        predicted=predicted,
        confidence=confidence,
        errors=decoded.errors,
    )


def _check_finite(scores: FloatArray, decoded: DecodedBatch) -> None:
    wrong = np.flatnonzero(~np.isfinite(scores) & decoded.ok)
    if wrong.size:
        place = int(wrong[0])
        raise ArtifactError(
            f"the artifact gives {show(decoded.entries[place].id)} the score {scores[place]}, "
            "which is no number to rank by; train and export it again"
        )


def _features(decoded: DecodedBatch, outputs: _Outputs) -> FloatArray:
    if not outputs:
        return np.empty((0, 0), np.float32)
    return np.asarray(outputs["features"], np.float32)[: len(decoded.entries)][decoded.ok]

"""Source -> decode -> engine -> rows, as a stream: decoding runs ahead of the engine."""

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
from dgaal_cli.data.decode_stream import decode_to
from dgaal_cli.data.decoders.base import Framing, Rendering
from dgaal_cli.data.decoders.process import Shape
from dgaal_cli.data.sources.base import Entry, FileBytes
from dgaal_cli.errors import ArtifactError
from dgaal_cli.scoring.rows import FloatArray, Rows
from exporters.manifest import Manifest

_QUEUED = 4
"""Batches queued per parallel engine call: enough work while a journal is synced."""
_MAX_QUEUED_BYTES = 32 * 2**20
"""Max. bytes of queued pixels; at least one batch per call is always queued."""

_Outputs = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredBatch:
    """Results of consecutive entries of a source."""

    entries: list[Entry]
    rows: Rows
    """One row per entry."""
    features: FloatArray | None
    """(n, Z), of the readable entries; None unless requested."""
    stamps: list[str]
    """Size and modification time of each entry's file when it was read."""


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

    Every engine call has exactly ``batch`` images. The last batch is padded with black images, and
    an unreadable image keeps its position. The position of an image in a call thus depends only on
    the order of the source, not on workers or on unreadable neighbors.

    ``start_engine`` is called while the first images are decoded by ``workers`` processes, 0 for
    one per CPU. Up to ``engine.calls`` batches run in parallel. ``reduces`` allows that JPEG is
    decoded at reduced size.

    Raises:
        ArtifactError: A score is not finite.
    """
    shape = input_shape(manifest, reduces=reduces)
    stream = decode_to(shape, entries, workers=workers, chunk=batch)
    with contextlib.closing(stream):
        engine, batches = _started(start_engine, stream)
        waiting: deque[tuple[DecodedBatch, Future[_Outputs]]] = deque()
        with ThreadPoolExecutor(engine.calls, thread_name_prefix="dgaal-engine") as calls:
            try:
                for decoded in batches:
                    waiting.append((decoded, calls.submit(_run, engine, decoded, batch)))
                    affordable = _MAX_QUEUED_BYTES // max(1, decoded.pixels.nbytes)
                    window = max(engine.calls, min(_QUEUED * engine.calls, affordable))
                    while waiting and (len(waiting) > window or waiting[0][1].done()):
                        yield _scored(*waiting.popleft(), manifest, with_features=with_features)
                while waiting:
                    yield _scored(*waiting.popleft(), manifest, with_features=with_features)
            finally:
                calls.shutdown(wait=True, cancel_futures=True)


def input_shape(manifest: Manifest, *, reduces: bool) -> Shape:
    """Return the shape of the images that a model takes; ``reduces`` is not for encoders."""
    facts = manifest.encoder
    framing = None
    if facts is not None:
        framing = Framing(manifest.input_size, facts.share, facts.interpolation)
    return Shape(
        side=manifest.input_size,
        channels=manifest.channels,
        hashes=False,
        reduces=reduces and framing is None,
        framing=framing,
        rendering=Rendering(manifest.sample_range),
    )


def _started(
    start_engine: Callable[[], Engine], stream: Generator[DecodedBatch]
) -> tuple[Engine, Iterable[DecodedBatch]]:
    """Start the engine while the first batch is decoded; return the engine and all batches."""
    with ThreadPoolExecutor(1, thread_name_prefix="dgaal-start") as starter:
        starting = starter.submit(start_engine)
        first = list(islice(stream, 1))
        return starting.result(), chain(first, stream)


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
    outputs, features = call.result(), None
    if with_features:
        features = np.empty((0, 0), np.float32)
        if outputs:
            found = np.asarray(outputs["features"], np.float32)
            features = found[: len(decoded.entries)][decoded.ok]
    return ScoredBatch(
        entries=decoded.entries,
        rows=_rows(decoded, outputs, manifest.classes),
        features=features,
        stamps=_stamps(decoded),
    )


def stamp_of(entry: Entry) -> str:
    """Return the current size and modification time of the entry's file; empty without a file."""
    return entry.read.stamp() if isinstance(entry.read, FileBytes) else ""


def _stamps(decoded: DecodedBatch) -> list[str]:
    """Return each file's size and modification time as its decoder saw it, else the current one."""
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
    if not decoded.ok.all():  # outputs at positions without an image are meaningless
        scores = np.where(decoded.ok, scores, np.float32(0))
        p_unlabeled = np.where(decoded.ok, p_unlabeled, np.float32(np.nan))
        confidence = np.where(decoded.ok, confidence, np.float32(np.nan))
        for index in np.flatnonzero(~decoded.ok).tolist():
            predicted[index] = ""
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
        index = int(wrong[0])
        raise ArtifactError(
            f"the artifact returns the score {scores[index]} for "
            f"{decoded.entries[index].id}, which cannot be ranked; train and export it again"
        )

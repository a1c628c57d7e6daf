"""Source -> decode -> engine -> rows, as a stream: decoding runs ahead while the engine works."""

import contextlib
import queue
import threading
from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dgaal_cli.data.decoding import DecodedBatch, decode_stream
from dgaal_cli.data.sources.base import Entry
from dgaal_cli.engines.base import Engine
from dgaal_cli.errors import ArtifactError
from dgaal_cli.harmless import show
from dgaal_cli.scoring.rows import Row, scored, unreadable
from exporters.manifest import Manifest

_AHEAD = 3
"""Decoded batches that may wait for the engine."""

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredBatch:
    """Some entries of a source, in its order."""

    entries: list[Entry]
    rows: list[Row]
    """One an entry."""
    features: FloatArray | None
    """(n, Z) of the readable entries; None unless asked for."""


def score_entries(
    entries: Iterable[Entry],
    manifest: Manifest,
    start_engine: Callable[[], Engine],
    *,
    batch: int,
    workers: int = 0,
    with_features: bool = False,
) -> Generator[ScoredBatch]:
    """Score a stream of entries.

    Every call of the engine has exactly ``batch`` images, the last one filled up with black ones,
    and an unreadable image leaves its place empty: where an image stands in a call depends on the
    order of the source alone, not on workers or on which neighbors could be read.

    Args:
        entries: What to score; read from a thread of its own.
        manifest: What the sampler artifact says of itself.
        start_engine: Starts the engine; called while the first images are being decoded.
        batch: Images a call.
        workers: Decoder processes; 0 takes one a CPU.
        with_features: Whether to keep the encoder's features.

    Raises:
        ArtifactError: A score is not finite.
    """
    with contextlib.closing(_ahead(entries, manifest, batch, workers)) as batches:
        engine: Engine | None = None
        for decoded in batches:
            if engine is None:
                engine = start_engine()
            outputs = _run(engine, decoded, batch)
            yield ScoredBatch(
                entries=decoded.entries,
                rows=_rows(decoded, outputs, manifest.classes),
                features=_features(decoded, outputs) if with_features else None,
            )


def _run(engine: Engine, decoded: DecodedBatch, batch: int) -> Mapping[str, npt.NDArray[Any]]:
    if not decoded.ok.any():
        return {}
    images = decoded.pixels
    if len(images) < batch:
        filled = np.zeros((batch, *images.shape[1:]), np.uint8)
        filled[: len(images)] = images
        images = filled
    return engine.run({"images": images})


def _rows(
    decoded: DecodedBatch, outputs: Mapping[str, npt.NDArray[Any]], classes: tuple[str, ...]
) -> list[Row]:
    count = len(decoded.entries)
    columns = _columns(outputs, classes, count)
    rows: list[Row] = []
    for entry, is_ok, reason, score, p_unlabeled, predicted, confidence in zip(
        decoded.entries, decoded.ok.tolist(), decoded.errors, *columns, strict=True
    ):
        if not is_ok:
            rows.append(unreadable(entry.id, entry.path, reason))
            continue
        if not np.isfinite(score):
            raise ArtifactError(
                f"the artifact gives {show(entry.id)} the score {score}, which is no number to "
                "rank by; train and export it again"
            )
        rows.append(scored(entry.id, entry.path, score, p_unlabeled, (predicted, confidence)))
    return rows


def _columns(
    outputs: Mapping[str, npt.NDArray[Any]], classes: tuple[str, ...], count: int
) -> tuple[list[float], list[float | None], list[str], list[float | None]]:
    nothing: list[float | None] = [None] * count
    if not outputs:
        return [0.0] * count, nothing, [""] * count, nothing
    scores: list[float] = _floats(outputs["score"], count)
    p_unlabeled = _floats(outputs["p_unlabeled"], count) if "p_unlabeled" in outputs else nothing
    if "probabilities" not in outputs or not classes:
        return scores, [*p_unlabeled], [""] * count, nothing
    probabilities = np.asarray(outputs["probabilities"], np.float32)[:count]
    best = probabilities.argmax(axis=1)
    confidence = _floats(probabilities[np.arange(count), best], count)
    return scores, [*p_unlabeled], [classes[index] for index in best.tolist()], [*confidence]


def _floats(values: npt.NDArray[Any], count: int) -> list[float]:
    result: list[float] = np.asarray(values, np.float32).reshape(-1)[:count].tolist()
    return result


def _features(decoded: DecodedBatch, outputs: Mapping[str, npt.NDArray[Any]]) -> FloatArray:
    if not outputs:
        return np.empty((0, 0), np.float32)
    return np.asarray(outputs["features"], np.float32)[: len(decoded.entries)][decoded.ok]


@dataclass(frozen=True, slots=True)
class _Failure:
    error: BaseException


def _ahead(
    entries: Iterable[Entry], manifest: Manifest, batch: int, workers: int
) -> Generator[DecodedBatch]:
    """Decode in a thread of its own, a few batches ahead of whoever takes them."""
    ready: queue.Queue[DecodedBatch | _Failure | None] = queue.Queue(_AHEAD)
    stop = threading.Event()

    def produce() -> None:
        stream = decode_stream(
            entries,
            size=manifest.input_size,
            channels=manifest.channels,
            workers=workers,
            chunk=batch,
            hashes_arrays=False,
        )
        last: _Failure | None = None
        try:
            with contextlib.closing(stream):
                for decoded in stream:
                    _put(ready, decoded, stop)
                    if stop.is_set():
                        return
        except BaseException as error:  # noqa: BLE001 - it is raised again in the other thread
            last = _Failure(error)
        _put(ready, last, stop)

    thread = threading.Thread(target=produce, name="dgaal-read", daemon=True)
    thread.start()
    try:
        while (item := ready.get()) is not None:
            if isinstance(item, _Failure):
                raise item.error
            yield item
    finally:
        stop.set()
        thread.join()


def _put(
    ready: "queue.Queue[DecodedBatch | _Failure | None]",
    item: DecodedBatch | _Failure | None,
    stop: threading.Event,
) -> None:
    while not stop.is_set():
        try:
            ready.put(item, timeout=0.1)
        except queue.Full:
            continue
        return

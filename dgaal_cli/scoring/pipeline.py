"""Source -> decode -> engine -> rows, as a stream: decoding runs ahead while the engine works."""

import contextlib
import queue
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from dgaal_cli.data.batches import DecodedBatch
from dgaal_cli.data.decoding import decode_stream
from dgaal_cli.data.sources.base import Entry, FileBytes
from dgaal_cli.engines.base import Engine
from dgaal_cli.errors import ArtifactError
from dgaal_cli.harmless import show
from dgaal_cli.scoring.ranking import FloatArray
from dgaal_cli.scoring.rows import Row, scored_many, unreadable
from exporters.manifest import Manifest

_AHEAD = 3
"""Decoded batches that may wait to be handed to the engine."""
_HANDED = 4
"""Batches handed to the engine for each of its calls: enough work while a journal is synced."""
_HANDED_BYTES = 32 * 2**20
"""Pixels handed over at most, beyond the one batch that every call needs."""

_Outputs = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredBatch:
    """Some entries of a source, in its order."""

    entries: list[Entry]
    rows: list[Row]
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
        entries: What to score; read from a thread of its own.
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
    with _Ahead(entries, manifest, batch, workers, reduces=reduces) as batches:
        engine = start_engine()
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
        stamps=[
            stamp_of(entry, size, changed_at)
            for entry, size, changed_at in zip(
                decoded.entries, decoded.sizes, decoded.changed_at, strict=True
            )
        ],
    )


def stamp_of(entry: Entry, size: int = 0, changed_at: int = 0) -> str:
    """Return what tells a changed file: from its decoder if it read it, else by looking now."""
    if not isinstance(entry.read, FileBytes):
        return ""
    return f"{size}:{changed_at}" if changed_at else entry.read.stamp()


def _rows(decoded: DecodedBatch, outputs: _Outputs, classes: tuple[str, ...]) -> list[Row]:
    count = len(decoded.entries)
    if not outputs:
        return [
            unreadable(entry.id, entry.path, reason)
            for entry, reason in zip(decoded.entries, decoded.errors, strict=True)
        ]
    scores = np.asarray(outputs["score"], np.float32).reshape(-1)[:count]
    _check_finite(scores, decoded)
    ids = [entry.id for entry in decoded.entries]
    paths = [entry.path for entry in decoded.entries]
    columns = (scores, *_columns(outputs, classes, count))
    rows = scored_many(ids, paths, *columns)
    for place in np.flatnonzero(~decoded.ok).tolist():
        rows[place] = unreadable(ids[place], paths[place], decoded.errors[place])
    return rows


def _check_finite(scores: FloatArray, decoded: DecodedBatch) -> None:
    wrong = np.flatnonzero(~np.isfinite(scores) & decoded.ok)
    if wrong.size:
        place = int(wrong[0])
        raise ArtifactError(
            f"the artifact gives {show(decoded.entries[place].id)} the score {scores[place]}, "
            "which is no number to rank by; train and export it again"
        )


def _columns(
    outputs: _Outputs, classes: tuple[str, ...], count: int
) -> tuple[FloatArray | None, list[str] | None, FloatArray | None]:
    """Return P(unlabeled), class names and their probabilities, each None where there are none."""
    p_unlabeled = None
    if "p_unlabeled" in outputs:
        p_unlabeled = np.asarray(outputs["p_unlabeled"], np.float32).reshape(-1)[:count]
    if "probabilities" not in outputs or not classes:
        return p_unlabeled, None, None
    probabilities = np.asarray(outputs["probabilities"], np.float32)[:count]
    best = probabilities.argmax(axis=1)
    return p_unlabeled, [classes[n] for n in best.tolist()], probabilities[np.arange(count), best]


def _features(decoded: DecodedBatch, outputs: _Outputs) -> FloatArray:
    if not outputs:
        return np.empty((0, 0), np.float32)
    return np.asarray(outputs["features"], np.float32)[: len(decoded.entries)][decoded.ok]


@dataclass(frozen=True, slots=True)
class _Failure:
    error: BaseException


class _Ahead:
    """Decodes in a thread of its own, a few batches ahead of whoever takes them."""

    def __init__(
        self,
        entries: Iterable[Entry],
        manifest: Manifest,
        batch: int,
        workers: int,
        *,
        reduces: bool,
    ) -> None:
        self._stream = decode_stream(
            entries,
            size=manifest.input_size,
            channels=manifest.channels,
            workers=workers,
            chunk=batch,
            hashes=False,
            reduces=reduces,
        )
        self._ready: queue.Queue[DecodedBatch | _Failure | None] = queue.Queue(_AHEAD)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._produce, name="dgaal-read", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()

    def __iter__(self) -> Iterator[DecodedBatch]:
        while (item := self._ready.get()) is not None:
            if isinstance(item, _Failure):
                raise item.error
            yield item

    def _produce(self) -> None:
        last: _Failure | None = None
        try:
            with contextlib.closing(self._stream) as stream:
                for decoded in stream:
                    self._put(decoded)
                    if self._stop.is_set():
                        return
        except BaseException as error:  # noqa: BLE001 - it is raised again in the other thread
            last = _Failure(error)
        self._put(last)

    def _put(self, item: DecodedBatch | _Failure | None) -> None:
        while not self._stop.is_set():
            try:
                self._ready.put(item, timeout=0.1)
            except queue.Full:
                continue
            return

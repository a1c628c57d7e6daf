"""Compute the features that a cache does not have yet: source -> decode -> encoder -> rows."""

import contextlib
import time
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from dgaal_cli import interruption
from dgaal_cli.data.batches import DecodedBatch
from dgaal_cli.data.decode_stream import decode_to
from dgaal_cli.data.decoders.base import TILES, Framing, Rendering
from dgaal_cli.data.decoders.process import Shape
from dgaal_cli.data.images import Pixels
from dgaal_cli.data.sources.base import Entry
from dgaal_cli.errors import ConfigError
from dgaal_cli.events import Emit, FeatureProgress
from dgaal_cli.features.hashed_entries import HashedImage, without_known
from dgaal_cli.features.shard import Rows
from dgaal_cli.features.space import FeatureSpace
from dgaal_cli.features.writer import CacheWriter
from dgaal_cli.ids import SampleId

_BATCH_BYTES = 8 * 2**20
"""Max. bytes of the squares in a batch, of which several wait in memory."""
_MAX_BATCH = 64
_CALL = 8
"""The encoder gets a multiple of this many images, so that its calls have one size: some runtimes
compute slightly other numbers for another."""
_MAX_LISTED = 10
"""Unreadable images that a result lists."""
_PROGRESS_S = 0.2


class FeatureEncoder(Protocol):
    """What the cache needs of ``encoders.base.Encoder``."""

    @property
    def digest(self) -> str:
        """SHA-256 (hexadecimal) of everything but the image that features depend on."""
        ...

    @property
    def dimension(self) -> int:
        """Numbers D in a row."""
        ...

    @property
    def framing(self) -> Framing:
        """How an image becomes the encoder's square of side S."""
        ...

    def encode(self, images: Pixels) -> Rows:
        """Encode uint8 squares (N, S, S, 3) to float32 (N, D)."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class FillResult:
    """What a run did."""

    encoded: int
    """Images whose features were computed."""
    known: int
    """Images that had features already, or have the same bytes as another one."""
    unreadable: int
    unreadable_first: tuple[tuple[SampleId, str], ...]
    """Id and reason of the first ones."""
    seconds: float
    rate: float
    """Encoded images per second."""


def fill(
    entries: Iterable[Entry],
    encoder: FeatureEncoder,
    space: FeatureSpace,
    writer: CacheWriter,
    *,
    total: int | None = None,
    workers: int = 0,
    emit: Emit,
) -> FillResult:
    """Add the features of all images that a cache does not have yet.

    Memory does not grow with the number of entries, except for 48 bytes per image of the cache.

    Args:
        entries: Images; iterated in the calling thread.
        encoder: Encoder of the space.
        space: Space of the features.
        writer: An open writer of this space.
        total: Number of entries, if known, for the progress report.
        workers: Decoder processes; 0 starts one per CPU.
        emit: Listener for progress.

    Raises:
        ConfigError: A feature is too large for the space's number type.
        StorageError: The cache cannot be written; what was saved is kept.
        InterruptedRunError: A signal stopped the run; what was encoded is kept.
    """
    return _Run(encoder, space, writer, total, emit).run(entries, workers)


class _Run:
    """Counters of one run."""

    def __init__(
        self,
        encoder: FeatureEncoder,
        space: FeatureSpace,
        writer: CacheWriter,
        total: int | None,
        emit: Emit,
    ) -> None:
        self._encoder, self._space, self._writer = encoder, space, writer
        self._total, self._emit = total, emit
        self._shape = square_shape(encoder.framing, space)
        square_bytes = int(np.prod(self._shape.array))
        affordable = _BATCH_BYTES // square_bytes // _CALL * _CALL
        self._batch = max(_CALL, min(_MAX_BATCH, affordable))
        self._waiting: set[bytes] = set()
        """Images between reading and encoding."""
        self._known = self._encoded = self._unreadable = 0
        self._refused: list[tuple[SampleId, str]] = []
        self._started = self._reported = time.perf_counter()

    def run(self, entries: Iterable[Entry], workers: int) -> FillResult:
        new = without_known(entries, self._is_known, self._skip)
        batches: Generator[DecodedBatch] = decode_to(
            self._shape, new, workers=workers, chunk=self._batch
        )
        with contextlib.closing(batches):
            for batch in batches:
                self._add(batch)
                self._step()
        self._report(is_last=True)
        seconds = time.perf_counter() - self._started
        return FillResult(
            encoded=self._encoded,
            known=self._known,
            unreadable=self._unreadable,
            unreadable_first=tuple(self._refused),
            seconds=seconds,
            rate=self._encoded / max(seconds, 1e-9),
        )

    @property
    def _done(self) -> int:
        return self._known + self._encoded + self._unreadable

    def _is_known(self, digest: bytes) -> bool:
        if digest in self._waiting or self._writer.has(digest):
            return True
        self._waiting.add(digest)
        return False

    def _skip(self) -> None:
        self._known += 1
        self._step()

    def _add(self, batch: DecodedBatch) -> None:
        rows = self._rows(batch.pixels) if batch.ok.any() else np.zeros((len(batch.ok), 1))
        usable = batch.ok & np.isfinite(rows).all(axis=1)
        digests: list[bytes] = []
        for row, entry in enumerate(batch.entries):
            if isinstance(entry.read, HashedImage):
                self._waiting.discard(entry.read.digest)
                if usable[row]:
                    digests.append(entry.read.digest)
                    continue
            reason = batch.errors[row] or "the encoder returns no finite numbers for it"
            self._refuse(entry.id, reason)
        if digests:
            self._check_range(rows[usable])
            self._writer.add(digests, rows[usable])
        self._encoded += len(digests)

    def _rows(self, pixels: Pixels) -> Rows:
        """Encode a batch, filled with black images to a multiple of ``_CALL``."""
        side, count = self._shape.side, len(pixels)
        if count % _CALL:
            black = np.zeros((_CALL - count % _CALL, *pixels.shape[1:]), np.uint8)
            pixels = np.concatenate([pixels, black])
        rows = self._encoder.encode(pixels.reshape(-1, side, side, 3))
        if self._shape.has_tiles:
            rows = rows.reshape(-1, TILES, self._space.dimension).mean(axis=1)
        return rows[:count]

    def _check_range(self, rows: Rows) -> None:
        largest = float(np.abs(rows).max())
        limit = float(np.finfo(self._space.numpy_dtype).max)
        if largest > limit:
            raise ConfigError(
                f"the encoder returns {largest:.6g}, but {self._space.dtype} stores at most "
                f"{limit:.6g}; set features.dtype to float32"
            )

    def _refuse(self, sample_id: SampleId, reason: str) -> None:
        self._unreadable += 1
        if len(self._refused) < _MAX_LISTED:
            self._refused.append((sample_id, reason))

    def _step(self) -> None:
        self._report()
        interruption.check(
            f"stopped after {self._done:,} images, whose features are kept; "
            "the same command continues"
        )

    def _report(self, *, is_last: bool = False) -> None:
        now = time.perf_counter()
        if not is_last and now - self._reported < _PROGRESS_S:
            return
        self._reported = now
        self._emit(
            FeatureProgress(
                done=self._done,
                total=self._done if is_last else self._total,
                rate=(self._encoded + self._unreadable) / max(now - self._started, 1e-9),
                unreadable=self._unreadable,
            )
        )


def square_shape(framing: Framing, space: FeatureSpace) -> Shape:
    """Return the shape of decoded images: the encoder's framing, changed by ``space.crop``."""
    if space.crop == "center":
        framing = framing._replace(share=framing.share or 1)
    elif space.crop == "squash":
        framing = framing._replace(share=0)
    return Shape(
        side=framing.side,
        channels=3,
        hashes=False,
        reduces=False,
        framing=framing,
        has_tiles=space.crop == "tiles",
        rendering=Rendering(space.range),
    )

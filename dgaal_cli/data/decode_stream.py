"""Decode many entries in several processes, in order; a bad file affects no other file."""

import hashlib
import queue
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Self

import numpy as np
import numpy.typing as npt

from dgaal_cli.data.batches import Assembler, DecodedBatch, batch_of, concatenate
from dgaal_cli.data.decoders.base import AS_STATED, Rendering
from dgaal_cli.data.decoders.launch import worker_count
from dgaal_cli.data.decoders.load import COLOR_GAP, NO_SAMPLES
from dgaal_cli.data.decoders.process import (
    DecodedMany,
    DecoderDiedError,
    DecoderProcess,
    Payload,
    Shape,
)
from dgaal_cli.data.images import Pixels, decode, frame, resize, tile
from dgaal_cli.data.sources.base import BlockRow, Encoded, Entry, FileBytes
from dgaal_cli.data.unreadable import UnreadableImageError, describe

_TASK_BYTES = 8 * 2**20
"""Max. encoded bytes of one task, which bounds the memory for large files."""
_TASK_FILES = 64

_Payload = Encoded | FileBytes | BlockRow | UnreadableImageError


@dataclass(slots=True)
class _Task:
    entries: list[Entry] = field(default_factory=list[Entry])
    payloads: list[_Payload] = field(default_factory=list[_Payload])
    size_bytes: int = 0
    has_work: bool = False
    """Whether any image must be decoded, resized or hashed."""


def decode_stream(
    entries: Iterable[Entry],
    *,
    size: int,
    channels: int,
    workers: int = 0,
    chunk: int = 64,
    hashes: bool = True,
    reduces: bool = False,
    rendering: Rendering = AS_STATED,
) -> Generator[DecodedBatch]:
    """Decode and resize entries in parallel; batches come in the order of the entries.

    The batches do not depend on ``workers``. A file that crashes or hangs its decoder process is
    reported as unreadable, and the process is replaced.

    Args:
        entries: Entries to decode; iterated in the calling thread.
        size: Side in pixels.
        channels: 1 or 3.
        workers: Decoder processes; 0 starts one per CPU. Sources of arrays need no processes.
        chunk: Entries per batch; the last batch may have fewer.
        hashes: Whether to compute digests.
        reduces: Whether JPEG may be decoded at reduced size: see ``decoders.pillow.REDUCING_GAP``.
        rendering: How samples of more than 8 bits become levels.
    """
    shape = Shape(side=size, channels=channels, hashes=hashes, reduces=reduces, rendering=rendering)
    return decode_to(shape, entries, workers=workers, chunk=chunk)


def decode_to(
    shape: Shape, entries: Iterable[Entry], *, workers: int, chunk: int
) -> Generator[DecodedBatch]:
    """Decode entries to images of a shape, which may frame them: see ``decode_stream``."""
    with _DecoderPool(worker_count(workers), shape) as pool:
        pending: deque[Future[DecodedBatch]] = deque()
        assembler = Assembler(chunk)
        for task in _tasks(entries, min(chunk, _TASK_FILES), shape):
            pending.append(pool.submit(task))
            if len(pending) > pool.window:
                yield from assembler.add(pending.popleft().result())
        while pending:
            yield from assembler.add(pending.popleft().result())
        yield from assembler.rest()


def _tasks(entries: Iterable[Entry], files: int, shape: Shape) -> Iterator[_Task]:
    task = _Task()
    block, is_fitting = None, False
    for entry in entries:
        payload = _payload(entry)
        task.entries.append(entry)
        task.payloads.append(payload)
        if isinstance(payload, bytes):
            task.size_bytes += len(payload)
        if isinstance(payload, BlockRow):
            if payload.block is not block:
                block, is_fitting = payload.block, shape.fits(payload())
            task.has_work |= not is_fitting or shape.hashes
        elif shape.hashes or not (isinstance(payload, np.ndarray) and shape.fits(payload)):
            task.has_work = True
        if len(task.entries) >= files or task.size_bytes >= _TASK_BYTES:
            yield task
            task = _Task()
    if task.entries:
        yield task


def _payload(entry: Entry) -> _Payload:
    if isinstance(entry.read, FileBytes | BlockRow):
        return entry.read  # the decoder process reads the file
    try:
        return entry.read()
    except UnreadableImageError as error:
        return error


class _DecoderPool:
    """Threads that each wait for one decoder process at a time."""

    def __init__(self, workers: int, shape: Shape) -> None:
        self._shape = shape
        self.window = workers * 3
        self._idle: queue.LifoQueue[DecoderProcess] = queue.LifoQueue()
        self._all = [DecoderProcess() for _ in range(workers)]
        for decoder in self._all:
            self._idle.put(decoder)
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="dgaal-decode")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_raised: object) -> None:
        self._threads.shutdown(wait=True, cancel_futures=True)
        for decoder in self._all:
            decoder.close()

    def submit(self, task: _Task) -> Future[DecodedBatch]:
        if task.has_work:
            return self._threads.submit(self._run, task)
        done: Future[DecodedBatch] = Future()  # a thread would cost more time
        done.set_result(batch_of(task.entries, _unchanged(task.payloads, self._shape)))
        return done

    def _run(self, task: _Task) -> DecodedBatch:
        encoded: dict[int, Payload] = {}
        arrays: dict[int, Pixels] = {}
        refused: dict[int, str] = {}
        for index, payload in enumerate(task.payloads):
            if isinstance(payload, FileBytes):
                encoded[index] = payload.path
            elif isinstance(payload, bytes):
                encoded[index] = payload
            elif isinstance(payload, np.ndarray):
                arrays[index] = payload
            elif isinstance(payload, BlockRow):
                arrays[index] = payload()
            else:
                refused[index] = payload.reason
        task.payloads.clear()
        parts: list[DecodedMany] = []
        if encoded:
            parts.append(self._decode(list(encoded.values())))
        if arrays:
            parts.append(_from_arrays(list(arrays.values()), self._shape))
        if refused:
            parts.append(_unreadable(list(refused.values()), self._shape))
        order = np.argsort([*encoded, *arrays, *refused])
        return batch_of(task.entries, concatenate(parts, order.tolist()))

    def _decode(self, payloads: list[Payload]) -> DecodedMany:
        decoder = self._idle.get()
        try:
            return decoder.decode_many(payloads, self._shape)
        except DecoderDiedError:
            # Decode each file on its own to find the one that ended the process.
            parts = [self._decode_one(decoder, payload) for payload in payloads]
            return concatenate(parts, range(len(payloads)))
        finally:
            self._idle.put(decoder)

    def _decode_one(self, decoder: DecoderProcess, payload: Payload) -> DecodedMany:
        try:
            return decoder.decode_many([payload], self._shape)
        except DecoderDiedError as error:
            return _unreadable([str(error)], self._shape)


def array_digest(array: npt.NDArray[np.uint8]) -> bytes:
    """Return the SHA-256 of an array's shape and bytes."""
    digest = hashlib.sha256(repr(array.shape).encode())
    digest.update(np.ascontiguousarray(array).data)
    return digest.digest()


def image_digest(data: Encoded) -> bytes:
    """Return the SHA-256 that identifies an image: of its encoded bytes, else of its array."""
    return array_digest(data) if isinstance(data, np.ndarray) else hashlib.sha256(data).digest()


def _unchanged(payloads: list[_Payload], shape: Shape) -> DecodedMany:
    """Combine images that need neither resizing nor hashing."""
    count = len(payloads)
    return DecodedMany(
        pixels=_stacked(payloads),
        errors=[""] * count,
        sha256=[],
        sizes=[shape.side * shape.side * shape.channels] * count,
        changed_at=[0] * count,
        widths=[shape.side] * count,
        heights=[shape.side] * count,
        is_color=[],
        samples=[],
        has_pages=[],
    )


def _stacked(payloads: list[_Payload]) -> Pixels:
    """Return (n, H, W, C): a view if the images are consecutive rows of one block, else a copy."""
    rows = [payload for payload in payloads if isinstance(payload, BlockRow)]
    if len(rows) == len(payloads):
        block, first = rows[0]
        indices = [index for other, index in rows if other is block]
        if indices == list(range(first, first + len(payloads))):
            return block[first : first + len(payloads)]
    arrays = [payload() if isinstance(payload, BlockRow) else payload for payload in payloads]
    return np.stack([array for array in arrays if isinstance(array, np.ndarray)])


def _from_arrays(arrays: list[Pixels], shape: Shape) -> DecodedMany:
    count = len(arrays)
    fitted = [_from_array(array, shape) for array in arrays]
    reasons = [why for _, why in fitted]
    sizes = [
        (0, 0) if why else (array.shape[1], array.shape[0])
        for array, why in zip(arrays, reasons, strict=True)
    ]
    return DecodedMany(
        pixels=_blank(count, shape) if shape.looks else np.stack([one for one, _ in fitted]),
        errors=reasons,
        sha256=[array_digest(array) for array in arrays] if shape.hashes else [],
        sizes=[array.nbytes for array in arrays],
        changed_at=[0] * count,
        widths=[width for width, _ in sizes],
        heights=[height for _, height in sizes],
        is_color=[_has_color(one) for one, _ in fitted] if shape.looks else [],
        samples=[NO_SAMPLES] * count if shape.looks else [],
        has_pages=[False] * count if shape.looks else [],
    )


def _from_array(array: Pixels, shape: Shape) -> tuple[Pixels, str]:
    if shape.fits(array):
        return array, ""
    try:
        image = decode(array)
        if shape.framing is not None:
            return (tile if shape.has_tiles else frame)(image, shape.framing), ""
        return resize(image, size=shape.side, channels=shape.channels), ""
    except Exception as error:  # noqa: BLE001 - an error affects only this image
        return np.zeros(shape.array, np.uint8), describe(error)


def _has_color(image: Pixels) -> bool:
    return bool((image.max(axis=2) - image.min(axis=2) > COLOR_GAP).any())


def _blank(count: int, shape: Shape) -> Pixels:
    return np.zeros((count, *shape.array), np.uint8)


def _unreadable(reasons: list[str], shape: Shape) -> DecodedMany:
    count = len(reasons)
    nothing = [0] * count
    return DecodedMany(
        pixels=_blank(count, shape),
        errors=reasons,
        sha256=[bytes(32)] * count if shape.hashes else [],
        sizes=nothing,
        changed_at=nothing,
        widths=nothing,
        heights=nothing,
        is_color=[False] * count if shape.looks else [],
        samples=[NO_SAMPLES] * count if shape.looks else [],
        has_pages=[False] * count if shape.looks else [],
    )

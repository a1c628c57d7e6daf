"""Decode many entries at once in several processes, in order; a bad file costs that file alone."""

import hashlib
import os
import queue
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt

from dgaal_cli.data.decoder import Decoded, Decoder, DecoderDiedError
from dgaal_cli.data.images import Pixels, decode, resize
from dgaal_cli.data.sources.base import Encoded, Entry, FileBytes
from dgaal_cli.data.unreadable import UnreadableImageError, describe

_TASK_BYTES = 8 * 2**20
"""Encoded bytes that one task carries at most, so that memory does not grow with the files."""
_TASK_FILES = 32

Payload = Encoded | FileBytes | UnreadableImageError


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodedBatch:
    """Entries with their pixels at one size."""

    entries: list[Entry]
    pixels: Pixels
    """uint8 (n, side, side, C); zero where an entry is unreadable."""
    ok: npt.NDArray[np.bool_]
    """(n,) whether an entry was decoded."""
    errors: list[str]
    """Why not; empty for readable entries."""
    sha256: list[bytes]
    """Of the encoded bytes; of an array's shape and bytes where a source holds pixels."""
    widths: list[int]
    """Of the upright originals, in pixels; 0 for unreadable entries."""
    heights: list[int]
    sizes: list[int]
    """Bytes of the encoded files or arrays."""


@dataclass(slots=True)
class _Task:
    entries: list[Entry] = field(default_factory=list[Entry])
    payloads: list[Payload] = field(default_factory=list[Payload])
    size_bytes: int = 0


def worker_count(asked: int) -> int:
    """Processes to use: ``asked``, or for 0 the CPUs that this process may run on."""
    if asked > 0:
        return asked
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else (os.cpu_count() or 1)


def decode_stream(
    entries: Iterable[Entry],
    *,
    size: int,
    channels: int,
    workers: int = 0,
    chunk: int = 64,
    hashes_arrays: bool = True,
) -> Generator[DecodedBatch]:
    """Decode and resize entries in parallel; batches come in the order of the entries.

    The batches do not depend on ``workers``. A file that crashes or hangs its decoder process is
    reported as unreadable, and another process takes over.

    Args:
        entries: What to decode; read from the calling thread.
        size: Side in pixels.
        channels: 1 or 3.
        workers: Decoder processes; 0 takes one a CPU. None start for sources of arrays.
        chunk: Entries a batch; the last one may have fewer.
        hashes_arrays: Whether pixels from arrays need their digest; files always get theirs,
            which costs a fiftieth of their decoding.
    """
    with _Crew(worker_count(workers), size, channels, hashes_arrays=hashes_arrays) as crew:
        pending: deque[Future[list[Decoded]]] = deque()
        waiting: deque[list[Entry]] = deque()
        assembler = _Assembler(size, channels, chunk)
        for task in _tasks(entries, min(chunk, _TASK_FILES)):
            pending.append(crew.submit(task))
            waiting.append(task.entries)
            if len(pending) > crew.window:
                yield from assembler.add(waiting.popleft(), pending.popleft().result())
        while pending:
            yield from assembler.add(waiting.popleft(), pending.popleft().result())
        yield from assembler.rest()


def _tasks(entries: Iterable[Entry], files: int) -> Iterator[_Task]:
    task = _Task()
    for entry in entries:
        payload = _payload(entry)
        task.entries.append(entry)
        task.payloads.append(payload)
        if isinstance(payload, bytes):
            task.size_bytes += len(payload)
        if len(task.entries) >= files or task.size_bytes >= _TASK_BYTES:
            yield task
            task = _Task()
    if task.entries:
        yield task


def _payload(entry: Entry) -> Payload:
    if isinstance(entry.read, FileBytes):
        return entry.read  # the process that decodes it also reads it
    try:
        return entry.read()
    except UnreadableImageError as error:
        return error


class _Crew:
    """Threads that each wait for one decoder process at a time."""

    def __init__(self, workers: int, size: int, channels: int, *, hashes_arrays: bool) -> None:
        self._size = size
        self._hashes_arrays = hashes_arrays
        self._channels = channels
        self.window = workers * 3
        self._idle: queue.LifoQueue[Decoder] = queue.LifoQueue()
        self._all = [Decoder() for _ in range(workers)]
        for decoder in self._all:
            self._idle.put(decoder)
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="dgaal-decode")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._threads.shutdown(wait=True, cancel_futures=True)
        for decoder in self._all:
            decoder.close()

    def submit(self, task: _Task) -> Future[list[Decoded]]:
        return self._threads.submit(self._run, task)

    def _run(self, task: _Task) -> list[Decoded]:
        results: list[Decoded | None] = [None] * len(task.entries)
        encoded: list[int] = []
        for place, payload in enumerate(task.payloads):
            if isinstance(payload, bytes | FileBytes):
                encoded.append(place)
            elif isinstance(payload, np.ndarray):
                results[place] = self._from_array(payload)
            else:
                results[place] = _unreadable(payload.reason)
        if encoded:
            found = self._decode([_portable(task.payloads[place]) for place in encoded])
            for place, result in zip(encoded, found, strict=True):
                results[place] = result
        task.payloads.clear()
        return [result for result in results if result is not None]

    def _from_array(self, array: npt.NDArray[np.uint8]) -> Decoded:
        shape = (self._size, self._size, self._channels)
        pixels = array
        try:
            if array.shape != shape or array.dtype != np.uint8:
                pixels = resize(decode(array), size=self._size, channels=self._channels)
        except Exception as error:  # noqa: BLE001 - one image's trouble stays with that image
            return _unreadable(describe(error))
        return Decoded(
            pixels=pixels,
            reason="",
            sha256=array_digest(array) if self._hashes_arrays else bytes(32),
            size_bytes=array.nbytes,
            width=array.shape[1],
            height=array.shape[0],
        )

    def _decode(self, payloads: list[bytes | os.PathLike[str]]) -> list[Decoded]:
        decoder = self._idle.get()
        try:
            return self._ask(decoder, payloads)
        except DecoderDiedError:
            # Which file did it is unknown: ask for each alone, so that only that one is lost.
            return [self._ask_alone(decoder, payload) for payload in payloads]
        finally:
            self._idle.put(decoder)

    def _ask(self, decoder: Decoder, payloads: list[bytes | os.PathLike[str]]) -> list[Decoded]:
        return decoder.decode(payloads, side=self._size, channels=self._channels)

    def _ask_alone(self, decoder: Decoder, payload: bytes | os.PathLike[str]) -> Decoded:
        try:
            return self._ask(decoder, [payload])[0]
        except DecoderDiedError as error:
            return _unreadable(str(error))


class _Assembler:
    """Turns tasks of any length into batches of one length."""

    def __init__(self, size: int, channels: int, chunk: int) -> None:
        self._shape = (size, size, channels)
        self._chunk = chunk
        self._entries: list[Entry] = []
        self._results: list[Decoded] = []

    def add(self, entries: list[Entry], results: list[Decoded]) -> Iterator[DecodedBatch]:
        self._entries += entries
        self._results += results
        while len(self._entries) >= self._chunk:
            yield self._batch(self._chunk)

    def rest(self) -> Iterator[DecodedBatch]:
        if self._entries:
            yield self._batch(len(self._entries))

    def _batch(self, count: int) -> DecodedBatch:
        entries, self._entries = self._entries[:count], self._entries[count:]
        results, self._results = self._results[:count], self._results[count:]
        pixels = np.zeros((count, *self._shape), np.uint8)
        for row, result in enumerate(results):
            if result.pixels is not None:
                pixels[row] = result.pixels
        return DecodedBatch(
            entries=entries,
            pixels=pixels,
            ok=np.array([result.pixels is not None for result in results], np.bool_),
            errors=[result.reason for result in results],
            sha256=[result.sha256 for result in results],
            widths=[result.width for result in results],
            heights=[result.height for result in results],
            sizes=[result.size_bytes for result in results],
        )


class _PathText(os.PathLike[str]):
    """A path as a plain text: ``pathlib`` would parse every one of a million."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def __fspath__(self) -> str:
        return self._text


def _portable(payload: object) -> bytes | os.PathLike[str]:
    if isinstance(payload, FileBytes):
        return _PathText(payload.path)
    if isinstance(payload, bytes):
        return payload
    raise TypeError(type(payload))


def array_digest(array: npt.NDArray[np.uint8]) -> bytes:
    """SHA-256 of an array's shape and bytes."""
    digest = hashlib.sha256(repr(array.shape).encode())
    digest.update(np.ascontiguousarray(array).data)
    return digest.digest()


def _unreadable(reason: str) -> Decoded:
    return Decoded(pixels=None, reason=reason, sha256=bytes(32), size_bytes=0, width=0, height=0)

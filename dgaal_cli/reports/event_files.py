"""TensorBoard event files, written without TensorFlow, TensorBoard or protobuf.

A file is a row of records, each a length, a checksum of it, a message and a checksum of that. The
messages (``tensorflow.Event`` holding ``Summary``) use five fields, which are encoded here by hand.
``tensorboard --logdir WORKSPACE/rounds`` shows each round as a run.
"""

import os
import socket
import struct
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from dgaal_cli.events import AnyEvent, RoundTrained, StepDone

VERSION = b"brain.Event:2"
_MASK = 0xA282EAD8


class EventFile:
    """One event file in ``folder``; a context manager.

    Args:
        folder: Made if it is missing; TensorBoard reads all event files in it as one run.
        clock: Seconds since 1970.
    """

    def __init__(
        self, folder: Path, *, clock: Callable[[], float] = lambda: datetime.now(UTC).timestamp()
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._clock = clock
        host = "".join(c for c in socket.gethostname() if c.isalnum() or c in "-.") or "host"
        name = f"events.out.tfevents.{int(clock())}.{host}.{os.getpid()}.dgaal"
        self._file: IO[bytes] = (folder / name).open("ab")
        self._write(_text(3, VERSION))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def hear(self, event: AnyEvent) -> None:
        """Write an event's numbers: losses by step, a round's metrics by its labels."""
        match event:
            case StepDone():
                named = {f"{event.phase}/{name}": value for name, value in event.losses.items()}
                self.add(named | {f"{event.phase}/steps_per_s": event.rate}, step=event.step)
            case RoundTrained():
                named = {f"health/{name}": value for name, value in event.metrics.items()}
                if event.accuracy is not None:
                    named["round/accuracy"] = event.accuracy
                self.add(named | {"round/seconds": event.seconds}, step=event.labels)
            case _:
                pass

    def add(self, values: Mapping[str, float], *, step: int) -> None:
        """Write scalars of one step."""
        entries = b"".join(
            _text(1, _text(1, tag.encode()) + b"\x15" + struct.pack("<f", value))
            for tag, value in values.items()
        )
        self._write(b"\x10" + _varint(step) + _text(5, entries))

    def _write(self, fields: bytes) -> None:
        message = b"\x09" + struct.pack("<d", self._clock()) + fields
        length = struct.pack("<Q", len(message))
        self._file.write(length + _checksum(length) + message + _checksum(message))
        self._file.flush()


def crc32c(data: bytes) -> int:
    """Return the Castagnoli checksum, which ``zlib`` has not."""
    value = 0xFFFFFFFF
    for byte in data:
        value = _TABLE[(value ^ byte) & 0xFF] ^ (value >> 8)
    return value ^ 0xFFFFFFFF


def _checksum(data: bytes) -> bytes:
    value = crc32c(data)
    rotated = (value >> 15 | value << 17) & 0xFFFFFFFF
    return struct.pack("<I", (rotated + _MASK) & 0xFFFFFFFF)


def _text(number: int, data: bytes) -> bytes:
    """Encode a length-delimited field."""
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])


def _table() -> tuple[int, ...]:
    table: list[int] = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return tuple(table)


_TABLE = _table()

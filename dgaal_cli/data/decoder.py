"""Handle of one decoder process: start, ask, and notice when it dies."""

import os
import signal
import subprocess
import sys
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

import numpy as np

import dgaal_cli
from dgaal_cli.data.images import Pixels
from dgaal_cli.data.worker import (
    ANSWER,
    FROM_BYTES,
    FROM_PATH,
    ITEM,
    LIMIT_S,
    READY,
    REQUEST,
    RESULT,
)
from dgaal_cli.errors import DgaalError

_START = "import sys; sys.path[:0] = {paths!r}; from dgaal_cli.data.worker import main; main()"
_PIPE_BYTES = 2**20
_SET_PIPE_SIZE = 1031  # F_SETPIPE_SZ of Linux; Python's fcntl names it in some builds only


class DecoderDiedError(Exception):
    """The process ended within a request; the message says why in a few words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """What became of one image."""

    pixels: Pixels | None
    """uint8 (H, W, C), or None where it is unreadable."""
    reason: str
    """Why it is unreadable; empty where it is not."""
    sha256: bytes
    size_bytes: int
    width: int
    height: int


class Decoder:
    """One process that decodes images; not for use by two threads at once."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._finalizer: weakref.finalize[..., Decoder] | None = None

    def decode(
        self,
        payloads: Sequence[bytes | os.PathLike[str]],
        *,
        side: int = 0,
        channels: int = 0,
        max_pixels: int = 0,
    ) -> list[Decoded]:
        """Decode images one after another.

        Args:
            payloads: Encoded bytes, or paths that the process reads itself.
            side: Stretch to this side in pixels; 0 keeps the size.
            channels: 1 or 3; 0 keeps what an image has.
            max_pixels: Shrink larger images to about this many pixels; 0 sets no cap.

        Raises:
            DecoderDiedError: The process died; the next call starts another.
        """
        process = self._process or self._start()
        requests, answers = _pipes(process)
        try:
            requests.write(REQUEST.pack(len(payloads), side, channels, max_pixels))
            for payload in payloads:
                kind = FROM_BYTES if isinstance(payload, bytes) else FROM_PATH
                data = payload if isinstance(payload, bytes) else os.fsencode(payload)
                requests.write(ITEM.pack(kind, len(data)))
                requests.write(data)
            requests.flush()
            header = answers.read(ANSWER.size)
            (length,) = ANSWER.unpack(header) if len(header) == ANSWER.size else (-1,)
            answer = answers.read(length) if length >= 0 else b""
        except OSError:  # it died while it was written to
            length, answer = -1, b""
        if length < 0 or len(answer) != length:
            raise DecoderDiedError(self._bury(process))
        return _unpack(answer, len(payloads))

    def close(self) -> None:
        """End the process, if it runs."""
        if self._process is not None and self._finalizer is not None:
            self._process = None
            self._finalizer()

    def _start(self) -> subprocess.Popen[bytes]:
        package = str(Path(dgaal_cli.__file__).parent.parent)
        code = _START.format(paths=[package, *filter(None, sys.path)])
        threads = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and code
            [sys.executable, "-I", "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **threads},
        )
        self._process = process
        self._finalizer = weakref.finalize(self, _end, process)
        requests, answers = _pipes(process)
        _widen(requests)
        _widen(answers)
        if answers.read(len(READY)) != READY:
            self.close()
            raise DgaalError(
                "cannot start a process that decodes images; "
                "run 'dgaal doctor' to see what is missing"
            )
        return process

    def _bury(self, process: subprocess.Popen[bytes]) -> str:
        _pipes(process)[1].close()
        self.close()
        code = process.returncode
        if code == -signal.SIGALRM:
            return f"took longer than {LIMIT_S:.0f} s to decode"
        if code is not None and code < 0:
            return f"crashed the decoder ({_signal_name(-code)})"
        return "crashed the decoder"


def _end(process: subprocess.Popen[bytes]) -> None:
    for stream in _pipes(process):
        try:
            stream.close()
        except OSError:  # what was not sent to a dead process is lost with it
            continue
    process.wait()


def _pipes(process: subprocess.Popen[bytes]) -> tuple[IO[bytes], IO[bytes]]:
    return cast("IO[bytes]", process.stdin), cast("IO[bytes]", process.stdout)


def _widen(stream: IO[bytes]) -> None:
    """Let the kernel hold a whole request, so that neither side waits for the other."""
    if not sys.platform.startswith("linux"):
        return
    import fcntl

    try:
        fcntl.fcntl(stream, _SET_PIPE_SIZE, _PIPE_BYTES)
    except OSError:  # the user's share of pipe memory is used up; slower, not wrong
        return


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _unpack(answer: bytes, count: int) -> list[Decoded]:
    results: list[Decoded] = []
    offset = 0
    for _ in range(count):
        width, height, columns, rows, channels, length, size, digest = RESULT.unpack_from(
            answer, offset
        )
        offset += RESULT.size
        pixels: Pixels | None = None
        reason = ""
        if length:
            reason = answer[offset : offset + length].decode()
            offset += length
        else:
            size_sent = rows * columns * channels
            flat = np.frombuffer(answer, np.uint8, size_sent, offset)
            pixels = flat.reshape(rows, columns, channels)
            offset += size_sent
        results.append(
            Decoded(
                pixels=pixels,
                reason=reason,
                sha256=digest,
                size_bytes=size,
                width=width,
                height=height,
            )
        )
    return results

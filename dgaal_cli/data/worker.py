"""A decoder process: the only place where foreign bytes meet an image decoder on the main path.

It may crash, hang or run out of memory; whoever started it then loses one file and starts another.
It reads requests from standard input and answers on standard output until the input ends.
"""

import contextlib
import hashlib
import os
import signal
import struct
import sys
from typing import BinaryIO

from dgaal_cli.data.files import read_file
from dgaal_cli.data.picture import load_picture, silence_decoders
from dgaal_cli.data.unreadable import UnreadableImageError, describe

REQUEST = struct.Struct("<IIII")
"""How many items; side (0: keep the size); channels (0: keep); most pixels (0: no cap)."""
ITEM = struct.Struct("<BQ")
"""Kind of payload and its length in bytes."""
FROM_PATH, FROM_BYTES = 0, 1
ANSWER = struct.Struct("<Q")
"""Bytes of the whole answer that follows."""
RESULT = struct.Struct("<IIIIIIQ32s")
"""Original width, height; sent width, height, channels; length of the reason; bytes; sha256."""
READY = b"dgaal-decoder-1\n"

LIMIT_S = 10.0
"""Seconds one image may take."""
MEMORY_BYTES = 2 * 2**30
"""Address space a decoder may take beyond what it has at start."""


def main() -> None:
    """Serve until standard input ends."""
    requests = sys.stdin.buffer
    answers = os.fdopen(os.dup(1), "wb")
    # A decoder library that prints must not damage the answers; whoever listens there reads frames.
    silent = os.open(os.devnull, os.O_RDWR)
    os.dup2(silent, 1)
    os.dup2(silent, 2)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that started this one
    signal.signal(signal.SIGALRM, signal.SIG_DFL)  # ends this process even inside a C decoder
    _warm_up()
    _limit_memory()
    answers.write(READY)
    answers.flush()
    with contextlib.suppress(BrokenPipeError):
        while header := requests.read(REQUEST.size):
            _serve(requests, answers, header)


def _serve(requests: BinaryIO, answers: BinaryIO, header: bytes) -> None:
    count, side, channels, max_pixels = REQUEST.unpack(header)
    parts: list[bytes] = []
    for _ in range(count):
        kind, length = ITEM.unpack(requests.read(ITEM.size))
        payload = requests.read(length)
        signal.setitimer(signal.ITIMER_REAL, LIMIT_S)
        parts.extend(_answer(kind, payload, side or None, channels or None, max_pixels or None))
        signal.setitimer(signal.ITIMER_REAL, 0)
    answers.write(ANSWER.pack(sum(map(len, parts))))
    answers.writelines(parts)
    answers.flush()


def _answer(
    kind: int, payload: bytes, side: int | None, channels: int | None, max_pixels: int | None
) -> tuple[bytes, bytes]:
    data = b""
    digest = bytes(32)
    try:
        data = read_file(payload) if kind == FROM_PATH else payload
        digest = hashlib.sha256(data).digest()
        picture = load_picture(data, channels=channels, side=side, max_pixels=max_pixels)
        image = picture.image
        pixels = image.tobytes()
    except UnreadableImageError as error:
        return _refuse(error.reason, data, digest)
    except Exception as error:  # noqa: BLE001 - one file's trouble of any kind stays with that file
        return _refuse(describe(error), data, digest)
    width, height = image.size
    count = 1 if image.mode == "L" else 3
    header = RESULT.pack(picture.width, picture.height, width, height, count, 0, len(data), digest)
    return header, pixels


def _refuse(reason: str, data: bytes, digest: bytes) -> tuple[bytes, bytes]:
    text = (reason or "damaged image").encode("utf-8", "replace")
    return RESULT.pack(0, 0, 0, 0, 0, len(text), len(data), digest), text


def _warm_up() -> None:
    """Import the decoders before memory is limited and time is taken."""
    from PIL import Image

    Image.init()
    silence_decoders()


def _limit_memory() -> None:
    try:
        import resource
    except ImportError:  # Windows has no such limits
        return
    used = _address_space()
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = used + MEMORY_BYTES
    if hard != resource.RLIM_INFINITY:
        limit = min(limit, hard)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (limit, hard))


def _address_space() -> int:
    try:
        with open("/proc/self/statm", "rb") as stream:  # noqa: PTH123 - pathlib costs start-up time
            return int(stream.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 2**30

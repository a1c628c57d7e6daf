"""Decoder process: isolates the image decoders, which read untrusted bytes.

If it crashes, hangs or runs out of memory, its parent loses one file and starts another process. It
reads requests from standard input and writes answers to standard output until the input ends. It
starts without numpy, dataclasses and hooks of site packages, to start fast.
"""

import contextlib
import math
import os
import signal
import struct
import sys
from typing import BinaryIO

from dgaal_cli.data.decoders.base import TILES, Framing, Rendering, Target
from dgaal_cli.data.decoders.load import NO_SAMPLES, Look, load_picture, look_at, silence_decoders
from dgaal_cli.data.regular_files import read_dated_file
from dgaal_cli.data.unreadable import UnreadableImageError, describe
from dgaal_cli.parent import watch_stdin

REQUEST = struct.Struct("<IIIIIdddQ")
"""Number of items; side (0: original size); channels (0: original); max. pixels (0: unlimited);
flags; ``Framing.share``; ``Target.percentiles``, or ``Rendering.value_range`` (NaN: none); length
of the body in bytes. The body has the ``ITEM`` of every item, then all payloads."""
HASHES, REDUCES, FRAMES, BICUBIC, TILED, LOOKS = 1, 2, 4, 8, 16, 32
"""Flags: compute the digest of every file; decode JPEG at reduced size; use ``Framing``, with
bicubic interpolation; make tiles; send no pixels, but 3 as the number of sent channels of an image
with real color, else 1, its ``Look.samples``, and 1 as the sent width if it has further pages."""
ITEM = struct.Struct("<BQ")
"""Kind of payload and its length in bytes."""
FROM_PATH, FROM_BYTES = 0, 1
ANSWER = struct.Struct("<QQ")
"""Lengths in bytes of the head (``RESULT`` of every item, all reasons) and of all pixels. With a
side given, unreadable items have pixels, too (zeros), so that all items have the same length."""
RESULT = struct.Struct("<IIIIIIQq32sddd")
"""Original width, height; sent width, height, channels; length of the reason; size of the file in
bytes; its modification time in nanoseconds, 0 if this process did not read it; sha256;
``Look.samples``."""
READY = b"dgaal-decoder-6\n"

LIMIT_S = 10.0
"""Max. seconds per image."""
MEMORY_BYTES = 2 * 2**30
"""Max. address space in addition to that at the start."""


def main() -> None:
    """Serve until standard input ends."""
    requests = sys.stdin.buffer
    answers = os.fdopen(os.dup(1), "wb")
    # Output of a decoder library must not damage the answers.
    silent = os.open(os.devnull, os.O_RDWR)
    os.dup2(silent, 1)
    os.dup2(silent, 2)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # only the parent process handles Ctrl-C
    signal.signal(signal.SIGALRM, signal.SIG_DFL)  # ends this process even inside a C decoder
    silence_decoders()  # imports Pillow before the limits of memory and time
    watch_stdin()  # a request can take minutes
    _limit_memory()
    with contextlib.suppress(BrokenPipeError):  # the parent process has ended
        answers.write(READY)
        answers.flush()
        while header := requests.read(REQUEST.size):
            _serve(requests, answers, header)


def _serve(requests: BinaryIO, answers: BinaryIO, header: bytes) -> None:
    count, side, channels, max_pixels, flags, share, low, high, length = REQUEST.unpack(header)
    framing = Framing(side, share, "bicubic" if flags & BICUBIC else "bilinear")
    target = Target(
        side or None,
        channels or None,
        max_pixels or None,
        reduces=bool(flags & REDUCES),
        framing=framing if flags & FRAMES else None,
        has_tiles=bool(flags & TILED),
        rendering=Rendering(None if flags & LOOKS or math.isnan(low) else (low, high)),
        percentiles=(low, high),
    )
    body = requests.read(length)
    start = count * ITEM.size
    results: list[bytes] = []
    reasons: list[bytes] = []
    pixels: list[bytes] = []
    for kind, size in ITEM.iter_unpack(body[:start]):
        signal.setitimer(signal.ITIMER_REAL, LIMIT_S)
        result, reason, sent = _answer(kind, body[start : start + size], target, flags)
        start += size
        results.append(result)
        reasons.append(reason)
        pixels.append(sent)
    signal.setitimer(signal.ITIMER_REAL, 0)
    head = b"".join(results + reasons)
    body = b"".join(pixels)
    answers.write(ANSWER.pack(len(head), len(body)) + head)
    answers.write(body)
    answers.flush()


def _answer(kind: int, payload: bytes, target: Target, flags: int) -> tuple[bytes, bytes, bytes]:
    """Return result, reason and pixels of one item."""
    data = b""
    changed_at = 0
    digest = bytes(32)
    try:
        data, changed_at = read_dated_file(payload) if kind == FROM_PATH else (payload, 0)
        digest = _digest(data) if flags & HASHES else digest
        if flags & LOOKS:
            return _look_answer(look_at(data, target), (len(data), changed_at, digest))
        picture = load_picture(data, target)
        image = picture.image
        pixels = image.tobytes()
    except UnreadableImageError as error:
        return _refuse(error.reason, (len(data), changed_at, digest), target)
    except Exception as error:  # noqa: BLE001 - an error affects only this file
        return _refuse(describe(error), (len(data), changed_at, digest), target)
    width, height = image.size
    count = 1 if image.mode == "L" else 3
    file = (len(data), changed_at, digest)
    sizes = (picture.width, picture.height, width, height, count, 0)
    result = RESULT.pack(*sizes, *file, *NO_SAMPLES)
    return result, b"", pixels


def _look_answer(look: Look, file: tuple[int, int, bytes]) -> tuple[bytes, bytes, bytes]:
    text = look.reason.encode()
    channels = 3 if look.is_color else 1
    sizes = (look.width, look.height, int(look.has_pages), 0, channels, len(text))
    return RESULT.pack(*sizes, *file, *look.samples), text, b""


def _refuse(
    reason: str, file: tuple[int, int, bytes], target: Target
) -> tuple[bytes, bytes, bytes]:
    text = (reason or "damaged image").encode("utf-8", "replace")
    result = RESULT.pack(0, 0, 0, 0, 0, len(text), *file, *NO_SAMPLES)
    views = TILES if target.has_tiles else 1
    return result, text, bytes((target.side or 0) ** 2 * views * (target.channels or 0))


def _digest(data: bytes) -> bytes:
    import hashlib  # loads OpenSSL; most requests do not need it

    return hashlib.sha256(data).digest()


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

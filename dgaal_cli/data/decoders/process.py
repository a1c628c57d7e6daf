"""Handle of one decoder process: start it, send requests, detect when it dies."""

import math
import os
import signal
import subprocess
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, cast

import numpy as np

from dgaal_cli.data.decoders import launch
from dgaal_cli.data.decoders.base import AS_STATED, TILES, Framing, Rendering
from dgaal_cli.data.decoders.worker import (
    ANSWER,
    BICUBIC,
    FRAMES,
    FROM_BYTES,
    FROM_PATH,
    HASHES,
    ITEM,
    LIMIT_S,
    LOOKS,
    READY,
    REDUCES,
    REQUEST,
    RESULT,
    TILED,
)
from dgaal_cli.data.images import Pixels
from dgaal_cli.data.unreadable import UnreadableImageError
from dgaal_cli.errors import DgaalError
from dgaal_cli.interruption import signal_name

if TYPE_CHECKING:
    import io


_NO_RANGE = (float("nan"), float("nan"))


class DecoderDiedError(Exception):
    """The process ended during a request; the message is a short reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodedMany:
    """Results of images at one size, as columns."""

    pixels: Pixels
    """uint8 (n, side, side, C), or (n, TILES * side, side, C) for tiles; zero where an image is
    unreadable. Looks have no pixels: C is 0."""
    errors: list[str]
    """Why an image is unreadable; empty if readable."""
    sha256: list[bytes]
    """Of the encoded bytes, or of shape and bytes if the source contains arrays. Empty unless
    requested."""
    sizes: list[int]
    """Sizes of the encoded files or arrays, in bytes."""
    changed_at: list[int]
    """Modification time of each file, in nanoseconds; 0 if unknown."""
    widths: list[int]
    """Widths of the upright originals, in pixels; 0 for unreadable images."""
    heights: list[int]
    is_color: list[bool]
    """Whether an image has real color; empty unless ``Shape.looks``."""
    samples: list[tuple[float, float, float]]
    """``Look.samples`` of each image; empty unless ``Shape.looks``. Such an image that has an error
    and is not NaN here is readable with a range."""
    has_pages: list[bool]
    """Whether a file has pages or frames after the first; empty unless ``Shape.looks``."""


Payload = bytes | str | os.PathLike[str]
"""Encoded bytes, or a path that the decoder process reads itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """Properties of decoded images, and what to compute."""

    side: int
    """In pixels."""
    channels: int
    """1 or 3."""
    hashes: bool
    """Whether to compute the SHA-256 of the encoded bytes."""
    reduces: bool
    """Whether JPEG may be decoded at reduced size: see ``pillow.REDUCING_GAP``."""
    framing: Framing | None = None
    """How an image becomes a color square; None stretches it. Its side is ``side``."""
    has_tiles: bool = False
    """Whether to make tiles: see ``Target``."""
    looks: bool = False
    """Only look for real color, at this side, and for samples of more than 8 bits; return no
    pixels."""
    rendering: Rendering = AS_STATED
    """How samples become levels; a look with a range finds no image without brightness."""
    percentiles: tuple[float, float] = (0, 100)
    """Which percentiles of an image a look reports as lowest and highest sample."""

    @property
    def array(self) -> tuple[int, int, int]:
        """Height, width and channels of the returned pixels of an image."""
        channels = 0 if self.looks else self.channels
        return self.side * (TILES if self.has_tiles else 1), self.side, channels

    def fits(self, image: Pixels) -> bool:
        """Return whether the image already has this shape and needs no framing."""
        return self.framing is None and image.shape == self.array and image.dtype == np.uint8


class DecoderProcess:
    """One process that decodes images; not thread-safe."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._finalizer: weakref.finalize[..., DecoderProcess] | None = None
        self._is_ready = False

    def decode(
        self, payload: Payload, *, max_pixels: int = 0, rendering: Rendering = AS_STATED
    ) -> Pixels:
        """Decode one image at its original size, or shrunk to about ``max_pixels``.

        Returns:
            uint8 (H, W, C).

        Raises:
            UnreadableImageError: The image cannot be decoded.
            DecoderDiedError: The process died; the next call starts another.
        """
        original = Shape(side=0, channels=0, hashes=False, reduces=False, rendering=rendering)
        results, reasons, flat = self._request([payload], original, max_pixels=max_pixels)
        if reasons[0]:
            raise UnreadableImageError(reasons[0])
        _, _, width, height, channels, *_ = results[0]
        return flat.reshape(height, width, channels)

    def decode_many(self, payloads: Sequence[Payload], shape: Shape) -> DecodedMany:
        """Decode images, at least one, one after another; stretch them to one size or look at them.

        Raises:
            DecoderDiedError: The process died; the next call starts another.
        """
        results, reasons, flat = self._request(payloads, shape)
        columns = list(zip(*results, strict=True))
        samples = list(zip(*columns[9:12], strict=True)) if shape.looks else []
        if samples and shape.rendering.value_range is not None:
            reasons = [
                reason if math.isnan(own[0]) else ""
                for reason, own in zip(reasons, samples, strict=True)
            ]
        return DecodedMany(
            pixels=flat.reshape(len(payloads), *shape.array),
            errors=reasons,
            sha256=list(columns[8]) if shape.hashes else [],
            sizes=list(columns[6]),
            changed_at=list(columns[7]),
            widths=list(columns[0]),
            heights=list(columns[1]),
            is_color=[count == 3 for count in columns[4]] if shape.looks else [],
            samples=samples,
            has_pages=[width == 1 for width in columns[2]] if shape.looks else [],
        )

    def close(self) -> None:
        """End the process if it is running."""
        if self._process is not None and self._finalizer is not None:
            self._process = None
            self._finalizer()

    def _request(
        self, payloads: Sequence[Payload], shape: Shape, *, max_pixels: int = 0
    ) -> tuple[list[tuple[Any, ...]], list[str], Pixels]:
        """Return unpacked ``RESULT``s, reasons, and all pixels as one flat array."""
        process = self._process or self._launch()
        self._await_ready(process)
        requests, answers = launch.pipes(process)
        try:
            requests.write(_request(payloads, shape, max_pixels))
            requests.flush()
            head, pixels = _answer(answers)
        except (OSError, EOFError):  # the process died during the request
            raise DecoderDiedError(self._reap(process)) from None
        size = len(payloads) * RESULT.size
        results = list(RESULT.iter_unpack(head[:size]))
        return results, _reasons(results, head[size:]), pixels

    def _launch(self) -> subprocess.Popen[bytes]:
        process = launch.take()
        self._process = process
        self._finalizer = weakref.finalize(self, launch.end, process)
        self._is_ready = False
        return process

    def _await_ready(self, process: subprocess.Popen[bytes]) -> None:
        if self._is_ready:
            return
        if launch.pipes(process)[1].read(len(READY)) != READY:
            self.close()
            raise DgaalError(
                "cannot start the process that decodes images; run 'dgaal doctor' to find the cause"
            )
        self._is_ready = True

    def _reap(self, process: subprocess.Popen[bytes]) -> str:
        launch.pipes(process)[1].close()
        self.close()
        code = process.returncode
        if code == -signal.SIGALRM:
            return f"took longer than {LIMIT_S:.0f} s to decode"
        if code is not None and code < 0:
            return f"crashed the decoder ({signal_name(-code)})"
        return "crashed the decoder"


def _request(payloads: Sequence[Payload], shape: Shape, max_pixels: int) -> bytes:
    share, flags = 0.0, HASHES * shape.hashes | REDUCES * shape.reduces
    flags |= TILED * shape.has_tiles | LOOKS * shape.looks
    if shape.framing is not None:
        share = shape.framing.share
        flags |= FRAMES | BICUBIC * (shape.framing.interpolation == "bicubic")
    kinds = [FROM_BYTES if isinstance(payload, bytes) else FROM_PATH for payload in payloads]
    contents = [os.fsencode(payload) for payload in payloads]  # keeps bytes unchanged
    items = map(ITEM.pack, kinds, map(len, contents))
    body = b"".join([*items, *contents])
    side, channels = shape.array[1:]
    low, high = shape.percentiles if shape.looks else shape.rendering.value_range or _NO_RANGE
    sizes = (len(payloads), side, channels, max_pixels, flags, share, low, high, len(body))
    return REQUEST.pack(*sizes) + body


def _answer(answers: IO[bytes]) -> tuple[bytes, Pixels]:
    """Read one answer.

    Raises:
        EOFError: The answer is incomplete.
    """
    header = answers.read(ANSWER.size)
    if len(header) != ANSWER.size:
        raise EOFError
    length, size = ANSWER.unpack(header)
    head = answers.read(length)
    pixels = np.empty(size, np.uint8)
    readable = cast("io.BufferedReader", answers)
    if len(head) != length or readable.readinto(pixels.data) != size:
        raise EOFError
    return head, pixels


def _reasons(results: list[tuple[Any, ...]], texts: bytes) -> list[str]:
    if not texts:
        return [""] * len(results)
    reasons: list[str] = []
    start = 0
    for result in results:
        length = result[5]
        reasons.append(texts[start : start + length].decode())
        start += length
    return reasons

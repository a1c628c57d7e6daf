"""Images for terminals that support kitty's Unicode placeholders.

The pixels are sent once, before their image is shown. Showing it then costs a few kilobytes of
text: private-use characters that mean "row 3, column 7 of image 42" and move like any other text,
also in tmux (with ``set -g allow-passthrough on``). The terminal is never queried, and ``q=2``
disables its replies: they would arrive as key presses.
"""

import base64
import dataclasses
import io
import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from dgaal_cli.tui.render.placeholders import MARKS, Tile

if TYPE_CHECKING:
    from dgaal_cli.tui.render.fit import Pixels
    from dgaal_cli.tui.render.halfblock import CellRow

MAX_SIDE = 480
"""Max pixels of the longer side; terminals keep at least 128 images of this size."""
CRISP_SIDE = 512
"""Crisp images are enlarged to about this side, because terminals smooth on magnification."""
_CHUNK = 4096
"""Bytes of base64 in one command."""


class Gallery:
    """The images in the terminal's memory, by number. Thread-safe."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._is_in_tmux = bool(environment.get("TMUX"))
        # tmux may change 24-bit colors, and the color is the number: use palette colors only.
        self._max_number = 255 if self._is_in_tmux else 0xFFFFFF
        self._next = secrets.randbelow(self._max_number) + 1
        self._lock = threading.Lock()
        self._used: set[int] = set()
        self._write: Callable[[str], None] | None = None

    def connect(self, write: Callable[[str], None]) -> None:
        """Set the function that writes to the terminal, in order with its frames."""
        self._write = write

    @property
    def is_connected(self) -> bool:
        """Whether images can be sent."""
        return self._write is not None

    def send(self, image: "Pixels", *, columns: int, rows: int, is_crisp: bool) -> int:
        """Send an image with the size in cells at which it will be shown.

        Args:
            image: (H, W, C) uint8 with C in {1, 3}.
            columns: Width of the box in cells; the terminal keeps the image's proportions.
            rows: Height of the box in cells.
            is_crisp: Repeat pixels, so that the terminal's smoothing is not visible.

        Returns:
            Number of the image, for ``placeholders`` and ``drop``.
        """
        number = self._take_number()
        data = base64.standard_b64encode(_png(image, is_crisp=is_crisp)).decode("ascii")
        parts = [data[at : at + _CHUNK] for at in range(0, len(data), _CHUNK)]
        head = f"a=T,U=1,f=100,t=d,i={number},c={columns},r={rows},C=1,q=2"
        commands = [
            f"{head if at == 0 else 'q=2'},m={int(at < len(parts) - 1)};{part}"
            for at, part in enumerate(parts)
        ]
        self._send_commands(commands)
        return number

    def drop(self, number: int) -> None:
        """Free an image."""
        with self._lock:
            if number not in self._used:
                return
            self._used.discard(number)
        self._send_commands([f"a=d,d=I,i={number},q=2"])

    def placeholders(self, rows: "Sequence[CellRow]", number: int) -> "list[CellRow]":
        """Return ``rows`` with the placeholders of image ``number`` as their text.

        Their cells stay half blocks, used when dimmed under a dialog and in screenshots.
        """
        if len(rows) > len(MARKS) or any(len(row.glyphs) > len(MARKS) for row in rows):
            return list(rows)
        rgb = f"2;{number >> 16};{number >> 8 & 255};{number & 255}"
        color = f"5;{number}" if self._is_in_tmux else rgb
        tiles = [Tile(color=color, row=at, column=0) for at in range(len(rows))]
        return [
            dataclasses.replace(row, ansi=tile.text(len(row.glyphs)), tile=tile)
            for row, tile in zip(rows, tiles, strict=True)
        ]

    def _take_number(self) -> int:
        with self._lock:
            for _ in range(self._max_number):
                number, self._next = self._next, self._next % self._max_number + 1
                # A one-byte number is read as a palette color: avoid it outside tmux.
                if number not in self._used and (self._is_in_tmux or number > 0xFF):
                    self._used.add(number)
                    return number
        raise RuntimeError("every image number is in use")

    def _send_commands(self, commands: Sequence[str]) -> None:
        if self._write is None or not commands:
            return
        # One write, so that no frame is written between the chunks of an image.
        self._write("".join(self._wrapped(f"\x1b_G{command}\x1b\\") for command in commands))

    def _wrapped(self, sequence: str) -> str:
        if not self._is_in_tmux:
            return sequence
        doubled = sequence.replace("\x1b", "\x1b\x1b")
        return f"\x1bPtmux;{doubled}\x1b\\"


def _png(image: "Pixels", *, is_crisp: bool) -> bytes:
    import numpy as np
    from PIL import Image

    from dgaal_cli.tui.render.fit import shrink

    small = shrink(image, side=MAX_SIDE)
    longer_side = max(small.shape[:2])
    if is_crisp and longer_side * 2 <= CRISP_SIDE:
        factor = CRISP_SIDE // longer_side
        small = small.repeat(factor, axis=0).repeat(factor, axis=1)
    plane = small[:, :, 0] if small.shape[2] == 1 else small
    out = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(plane)).save(out, "PNG", compress_level=3)
    return out.getvalue()

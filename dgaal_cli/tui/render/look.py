"""How a person looks at an image: shapes in a cell, zoom, brightness, contrast."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dgaal_cli.tui.render.fit import Pixels

ZOOMS = (0, 100, 200, 400)
"""Percent of the image's own size, in pixels as wide as a cell; 0 fits the whole image."""
_MAX_TONE = 6
_BRIGHTNESS_STEP = 20
_CONTRAST_STEP = 1.25
_PAN_STEP = 0.25
"""Part of the visible area."""


class Glyphs(StrEnum):
    """Which characters show the pixels of a cell; each has two colors."""

    HALF = "half"
    """Half blocks: 1 x 2 pixels a cell."""
    QUADRANTS = "quadrants"
    """2 x 2 pixels, in the same Unicode block as half blocks."""
    SEXTANTS = "sextants"
    """2 x 3 pixels, Unicode 13."""
    OCTANTS = "octants"
    """2 x 4 pixels, Unicode 16."""

    @property
    def grid(self) -> tuple[int, int]:
        """Columns and rows of pixels in a cell."""
        return {"half": (1, 2), "quadrants": (2, 2), "sextants": (2, 3), "octants": (2, 4)}[self]

    def following(self) -> "Glyphs":
        """Return the next kind; after the last one the first."""
        kinds = list(Glyphs)
        return kinds[(kinds.index(self) + 1) % len(kinds)]


def choose_glyphs(setting: str, environment: Mapping[str, str]) -> Glyphs:
    """Return the glyphs of ``label.glyphs``; ``auto`` asks the terminal's name alone.

    The fonts of a Linux console and of old terminals have half blocks only.
    """
    if setting != "auto":
        return Glyphs(setting)
    is_old = environment.get("TERM", "").startswith(("linux", "vt", "cons", "sun"))
    return Glyphs.HALF if is_old else Glyphs.QUADRANTS


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """How images are drawn; equal looks of one image share a picture."""

    glyphs: Glyphs = Glyphs.HALF
    is_toggled: bool = False
    """Swap smooth and crisp scaling."""
    zoom: int = 0
    """Index in ``ZOOMS``."""
    center: tuple[float, float] = (0.5, 0.5)
    """Center of the visible area: right and down, in parts of the image."""
    brightness: int = 0
    contrast: int = 0
    is_inverted: bool = False
    is_equalized: bool = False
    """Raise the contrast of each part of the image."""

    def of_next_image(self) -> "Look":
        """Return the look of the next image: all of it, in the same tones."""
        return replace(self, zoom=0, center=(0.5, 0.5))

    def zoomed(self, step: int) -> "Look":
        """Return a look with the next or previous zoom; the whole image is centered."""
        zoom = min(max(self.zoom + step, 0), len(ZOOMS) - 1)
        return replace(self, zoom=zoom, center=self.center if zoom else (0.5, 0.5))

    def brighter(self, step: int) -> "Look":
        """Return a brighter look; darker for a negative ``step``."""
        return replace(self, brightness=min(max(self.brightness + step, -_MAX_TONE), _MAX_TONE))

    def with_contrast(self, step: int) -> "Look":
        """Return a look with more contrast; less for a negative ``step``."""
        return replace(self, contrast=min(max(self.contrast + step, -_MAX_TONE), _MAX_TONE))

    def panned(
        self, right: int, down: int, *, size: tuple[int, int], room: tuple[int, int]
    ) -> "Look":
        """Return a look at another area; it stays inside the image.

        Args:
            right: Steps to the right, negative to the left.
            down: Steps down, negative up.
            size: Width and height of the image in pixels.
            room: Columns and rows of the screen's image.
        """
        parts = self._visible_parts(size, room)
        moved = zip(self.center, (right, down), parts, strict=True)
        x, y = (
            min(max(at + step * _PAN_STEP * part, part / 2), 1 - part / 2)
            for at, step, part in moved
        )
        return replace(self, center=(x, y))

    def _visible_parts(self, size: tuple[int, int], room: tuple[int, int]) -> tuple[float, float]:
        if not self.zoom:
            return 1.0, 1.0
        scale = ZOOMS[self.zoom] / 100
        return min(1.0, room[0] / scale / size[0]), min(1.0, 2 * room[1] / scale / size[1])

    @property
    def note(self) -> str:
        """What differs from the image as it is, for the frame."""
        parts = [f"{ZOOMS[self.zoom]} %"] if self.zoom else []
        if self.brightness:
            parts.append(f"brightness {self.brightness:+d}")
        if self.contrast:
            parts.append(f"contrast {self.contrast:+d}")
        if self.is_inverted:
            parts.append("inverted")
        if self.is_equalized:
            parts.append("equalized")
        return " · ".join(parts)

    def cut(self, image: "Pixels", room: tuple[int, int]) -> "Pixels":
        """Return the visible area of ``image``, (H, W, C), for ``room`` columns and rows."""
        height, width = image.shape[:2]
        parts = self._visible_parts((width, height), room)
        if parts == (1.0, 1.0):
            return image
        (left, right), (top, bottom) = (
            _span(size, part, at)
            for size, part, at in zip((width, height), parts, self.center, strict=True)
        )
        return image[top:bottom, left:right]

    def toned(self, image: "Pixels") -> "Pixels":
        """Return ``image`` equalized, then with brightness, contrast and inversion applied."""
        if self.is_equalized:
            from dgaal_cli.tui.render.equalize import equalized

            image = equalized(image)
        if not (self.brightness or self.contrast or self.is_inverted):
            return image
        import numpy as np  # the first frame does not wait for it

        levels = np.arange(256, dtype=np.float64)
        levels = (levels - 127.5) * _CONTRAST_STEP**self.contrast + 127.5
        levels += _BRIGHTNESS_STEP * self.brightness
        levels = np.clip(np.rint(levels), 0, 255)
        table = (255 - levels if self.is_inverted else levels).astype(np.uint8)
        return table[image]


def _span(size: int, part: float, at: float) -> tuple[int, int]:
    count = max(1, round(size * part))
    first = min(max(round(at * size - count / 2), 0), size - count)
    return first, first + count

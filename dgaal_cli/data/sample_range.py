"""The range of samples that a pool's images of more than 8 bits use, from black to full brightness.

Cameras of 10, 12 or 14 bits write files of 16, so that their images are nearly black; negative and
floating-point samples have no brightness at all. One range for the whole pool keeps its images
comparable, which a range for each image would not.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from dgaal_cli.config.schema import PoolConfig
from dgaal_cli.data.decoders.base import Rendering
from dgaal_cli.errors import UsageError

Range = tuple[float, float]
"""Samples that are black and full brightness; the first is lower."""

AUTO, FULL = "auto", "full"
_DARK = 4
"""Images are called dark if no sample exceeds this fraction of full brightness: two unused bits."""
_DIGITS = 6
"""Significant digits of the width of a proposed range that is not a power of two."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RangeRequest:
    """How to choose the range of a pool."""

    fixed: Range | None = None
    """This range; None chooses from the pixels."""
    percentiles: Range = (0, 100)
    """Of the samples of each image. The range is from the lowest to the highest of them."""
    is_full: bool = False
    """No range: samples have the brightness that their file gives them."""

    @property
    def is_automatic(self) -> bool:
        """Whether the range is chosen only if images are dark or have no defined brightness."""
        return self == AUTOMATIC


AUTOMATIC = RangeRequest()
"""A range if images are dark or have no defined brightness."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleSpread:
    """Samples of one image of more than 8 bits."""

    lowest: float
    highest: float
    full: float
    """Sample of full brightness by the file's own range."""
    is_undefined: bool
    """Whether samples are outside the file's own range, so that the image has no brightness."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenRange:
    """The range of a pool, and why."""

    range: Range | None
    note: str = ""
    """One sentence; empty without a range."""


def parse_range(text: str) -> RangeRequest:
    """Read ``auto``, ``full``, ``LOW,HIGH`` or ``P%,Q%``.

    Raises:
        UsageError: The text is none of these.
    """
    if text == AUTO:
        return AUTOMATIC
    if text == FULL:
        return RangeRequest(is_full=True)
    parts = text.split(",")
    is_percent = all(part.strip().endswith("%") for part in parts)
    try:
        low, high = (
            float(part.strip().removesuffix("%") if is_percent else part) for part in parts
        )
    except ValueError:
        low = high = math.nan
    if not low < high or not math.isfinite(high - low) or (is_percent and (low < 0 or high > 100)):
        raise UsageError(
            f"--range {text} is not a range; write auto, full, two samples (0,4095) or two "
            "percentiles (1%,99%), the lower first"
        )
    return RangeRequest(percentiles=(low, high)) if is_percent else RangeRequest(fixed=(low, high))


def choose_range(request: RangeRequest, spreads: Sequence[SampleSpread]) -> ChosenRange:
    """Choose the range of a pool from the samples of its images of more than 8 bits."""
    if request.fixed is not None:
        return ChosenRange(range=request.fixed)
    if request.is_full or not spreads:
        return ChosenRange(range=None)
    low = min(spread.lowest for spread in spreads)
    high = max(spread.highest for spread in spreads)
    undefined = sum(spread.is_undefined for spread in spreads)
    full = max(spread.full for spread in spreads)
    if request.is_automatic and not undefined and high * _DARK > full:
        return ChosenRange(range=None)
    chosen = _tidy(low, high) if request.percentiles == (0, 100) else _outward(low, high)
    why = (
        f"{undefined} have no defined brightness"
        if undefined
        else f"their files allow {_number(full)}"
    )
    note = (
        f"{len(spreads)} images of more than 8 bits have samples from {_number(low)} to "
        f"{_number(high)}, and {why}; pool.range = {range_text(chosen)} shows the first as black "
        "and the last at full brightness, in training, labeling and scoring "
        "(--range full sets no range)"
    )
    return ChosenRange(range=chosen, note=note)


def rendering_of(pool: PoolConfig) -> Rendering:
    """Return how the samples of a workspace's pool become levels."""
    return Rendering((pool.range[0], pool.range[1]) if pool.range else None)


def range_text(value: Range) -> str:
    """Return a range as in ``dgaal.toml``."""
    return f"[{', '.join(map(_number, value))}]"


def _tidy(low: float, high: float) -> Range:
    """Return the range of a number of bits if the samples are whole and not negative."""
    if low >= 0 and high >= 1 and float(low).is_integer() and float(high).is_integer():
        return 0, 2 ** int(high).bit_length() - 1
    return _outward(low, high)


def _outward(low: float, high: float) -> Range:
    """Round outward to few digits; an empty range gets the width 1."""
    if low == high:
        return low, low + 1
    unit = 10.0 ** (math.ceil(math.log10(high - low)) - _DIGITS)
    return math.floor(low / unit) * unit, math.ceil(high / unit) * unit


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() and abs(value) < 2**53 else f"{value:.9g}"

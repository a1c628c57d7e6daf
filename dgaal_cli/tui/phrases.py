"""Texts shared by the screen and the line mode (``--plain``)."""

import math


def answer_text(kind: str, code: str, name: str) -> str:
    """Return an answer as short text."""
    if kind == "label":
        return name if code == name else f"{code} {name}".strip()
    return "can't tell" if kind == "cannot_tell" else "skipped, comes back"


MIN_MEASURED = 30
"""Images from which an accuracy says something: with fewer, its interval is wider than 0.35."""
_Z = 1.96
"""Standard deviations of a 95 % interval."""


def is_measurable(measured: int | None) -> bool:
    """Return whether an accuracy measured on that many images can be shown; None is unknown."""
    return measured is None or measured >= MIN_MEASURED


def accuracy_text(accuracy: float, measured: int | None) -> str:
    """Return an accuracy with its 95 % interval, or that too few images were measured.

    The interval is the score interval of Wilson (1927), which is right near 0 and 1 too.
    """
    if measured is None:
        return f"{accuracy:.1%}"
    if not is_measurable(measured):
        return f"too few to tell: {measured} measured"
    spread = _Z * math.sqrt(accuracy * (1 - accuracy) / measured + (_Z / (2 * measured)) ** 2)
    middle, scale = accuracy + _Z**2 / (2 * measured), 1 + _Z**2 / measured
    low, high = (middle - spread) / scale, (middle + spread) / scale
    return f"{accuracy:.1%} ({100 * low:.0f} to {100 * high:.0f})"


def labels(count: int) -> str:
    """Return ``1 label``, ``2 labels``, ..."""
    return f"{count} label{'' if count == 1 else 's'}"

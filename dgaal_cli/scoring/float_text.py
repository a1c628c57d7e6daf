"""Format float32 numbers as the shortest text that parses to the same value."""

import msgspec
import numpy as np

from dgaal_cli.scoring.rows import FloatArray

_DIGITS = (6, 7, 8, 9)
"""Nine significant digits distinguish all float32 numbers."""
_MIN_PLAIN, _MAX_PLAIN = 1e-4, 1e6
"""Numbers in this range are written without an exponent."""
_POWERS = np.array([float(10**power) for power in range(16)])  # exact, as np.power need not be


def format_float(value: float) -> str:
    """Return the shortest text that parses to the same float32; it is the same on every run."""
    return str(np.float32(value))


def format_floats(values: FloatArray) -> list[str]:
    """Return ``format_float`` of every value, and an empty text for NaN, in a third of the time.

    A value rounded to few decimal digits is a float64 whose shortest text has exactly these digits;
    the JSON encoder writes all such texts at once.
    """
    exact = values.astype(np.float64)
    is_easy = (np.abs(exact) >= _MIN_PLAIN) & (np.abs(exact) < _MAX_PLAIN)
    easy = np.flatnonzero(is_easy)
    magnitude = np.floor(np.log10(np.abs(exact[easy]))).astype(np.intp)
    left = np.arange(len(easy))
    for digits in _DIGITS:
        indices = easy[left]
        scale = _POWERS[digits - 1 - magnitude[left]]
        rounded = np.rint(values[indices] * scale) / scale
        is_same = rounded.astype(np.float32) == values[indices]
        exact[indices[is_same]] = rounded[is_same]
        left = left[~is_same]
    is_easy[easy[left]] = False
    exact[~is_easy] = 0.0
    texts = msgspec.json.encode(exact.tolist()).decode()[1:-1].split(",") if len(values) else []
    is_missing = np.isnan(values)
    for index in np.flatnonzero(is_missing).tolist():
        texts[index] = ""
    for index in np.flatnonzero(~is_easy & ~is_missing).tolist():
        texts[index] = format_float(values[index])
    return texts

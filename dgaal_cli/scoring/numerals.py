"""Float32 numbers as the shortest texts that give them back, many at once."""

import msgspec
import numpy as np

from dgaal_cli.scoring.rows import FloatArray

_DIGITS = (6, 7, 8, 9)
"""Nine significant digits tell any two float32 numbers apart."""
_MIN_PLAIN, _MAX_PLAIN = 1e-4, 1e6
"""Within these, numbers are written without an exponent."""
_POWERS = np.array([float(10**power) for power in range(16)])  # exact, as np.power need not be


def numeral(value: float) -> str:
    """Return the fewest digits that give the same float32 again: the same text on every run."""
    return str(np.float32(value))


def numerals(values: FloatArray) -> list[str]:
    """Return ``numeral`` of every value and an empty text for NaN, in a third of the time.

    Rounded to few decimal digits, a value becomes a float64 whose own shortest text has just these
    digits; such texts are written all at once.
    """
    exact = values.astype(np.float64)
    is_easy = (np.abs(exact) >= _MIN_PLAIN) & (np.abs(exact) < _MAX_PLAIN)
    easy = np.flatnonzero(is_easy)
    magnitude = np.floor(np.log10(np.abs(exact[easy]))).astype(np.intp)
    left = np.arange(len(easy))
    for digits in _DIGITS:
        wanted = easy[left]
        scale = _POWERS[digits - 1 - magnitude[left]]
        rounded = np.rint(values[wanted] * scale) / scale
        is_same = rounded.astype(np.float32) == values[wanted]
        exact[wanted[is_same]] = rounded[is_same]
        left = left[~is_same]
    is_easy[easy[left]] = False
    exact[~is_easy] = 0.0
    texts = msgspec.json.encode(exact.tolist()).decode()[1:-1].split(",") if len(values) else []
    is_missing = np.isnan(values)
    for place in np.flatnonzero(is_missing).tolist():
        texts[place] = ""
    for place in np.flatnonzero(~is_easy & ~is_missing).tolist():
        texts[place] = numeral(values[place])
    return texts

"""Times as the store saves them: integer microseconds since 1970, UTC."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

Clock = Callable[[], float]
"""Returns Unix seconds."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def system_clock() -> float:
    """Return the current time in Unix seconds."""
    return datetime.now(UTC).timestamp()


def to_microseconds(seconds: float) -> int:
    """Round Unix seconds to microseconds."""
    return round(seconds * 1_000_000)


def to_iso(microseconds: int) -> str:
    """Format a time as ISO 8601, ``2026-01-31T12:00:00.000000Z``."""
    instant = _EPOCH + microseconds * _MICROSECOND
    return instant.isoformat(timespec="microseconds").replace("+00:00", "Z")


def from_iso(text: str) -> int:
    """Parse ISO 8601 to microseconds; a time without offset is UTC.

    Raises:
        ValueError: The text is not a valid time.
    """
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        instant = instant.replace(tzinfo=UTC)
    return (instant - _EPOCH) // _MICROSECOND

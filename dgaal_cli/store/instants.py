"""Instants as the store keeps them: whole microseconds since 1970, UTC; exact both ways."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

Clock = Callable[[], float]
"""Returns Unix seconds; tests give their own."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def system_clock() -> float:
    """Return the present instant in Unix seconds."""
    return datetime.now(UTC).timestamp()


def to_microseconds(seconds: float) -> int:
    """Round Unix seconds to microseconds."""
    return round(seconds * 1_000_000)


def to_iso(microseconds: int) -> str:
    """Spell an instant as ISO 8601 with microseconds, UTC, ``2026-01-31T12:00:00.000000Z``."""
    instant = _EPOCH + microseconds * _MICROSECOND
    return instant.isoformat(timespec="microseconds").replace("+00:00", "Z")


def from_iso(text: str) -> int:
    """Read ISO 8601; an instant without offset is taken as UTC.

    Raises:
        ValueError: The text is no instant.
    """
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        instant = instant.replace(tzinfo=UTC)
    return (instant - _EPOCH) // _MICROSECOND

"""Clocks of the store, and times as it saves them: integer microseconds since 1970, UTC."""

import contextlib
import sys
import time
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from pathlib import Path

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Clock:
    """The clocks of this computer: one for events, and one that nobody sets for leases."""

    def __call__(self) -> float:
        """Return Unix seconds; they go back or jump when the clock is set."""
        return datetime.now(UTC).timestamp()

    def since_boot(self) -> tuple[str, float]:
        """Return an id of the running boot and the seconds since then, with time asleep."""
        # macOS counts time asleep in CLOCK_MONOTONIC, Linux only in CLOCK_BOOTTIME.
        return _boot_id(), time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


system_clock = Clock()


@cache
def _boot_id() -> str:
    """Return the kernel's id of the running boot, ``unknown`` if it has none."""
    if sys.platform == "darwin":
        import subprocess

        command = ["/usr/sbin/sysctl", "-n", "kern.bootsessionuuid"]
        found = subprocess.run(command, capture_output=True, text=True, check=False).stdout  # noqa: S603
        return found.strip()
    with contextlib.suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return "unknown"


def to_microseconds(seconds: float) -> int:
    """Round Unix seconds to microseconds."""
    return round(seconds * 1_000_000)


def to_iso(microseconds: int) -> str:
    """Format a time as ISO 8601, ``2026-01-31T12:00:00.000000Z``."""
    seconds, rest = divmod(microseconds, 1_000_000)
    return f"{_second(seconds)}.{rest:06d}Z"


@lru_cache(maxsize=1024)  # many answers of an import have the same time
def _second(seconds: int) -> str:
    return (_EPOCH + timedelta(seconds=seconds)).replace(tzinfo=None).isoformat()


def file_stamp(microseconds: int) -> str:
    """Format a time for a file name, ``20260131T120000.000000Z``."""
    return to_iso(microseconds).replace(":", "").replace("-", "")


def from_iso(text: str) -> int:
    """Parse ISO 8601 to microseconds; a time without offset is UTC.

    Raises:
        ValueError: The text is not a valid time.
    """
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        instant = instant.replace(tzinfo=UTC)
    return (instant - _EPOCH) // _MICROSECOND

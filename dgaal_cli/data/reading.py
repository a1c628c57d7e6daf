"""Progress of reading a pool: how many images are read, of how many, and how fast."""

import contextlib
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager

from dgaal_cli.data.sources.base import Source
from dgaal_cli.errors import DgaalError
from dgaal_cli.events import Emit, ReadProgress, ignore

INTERVAL_S = 0.25
"""Minimum seconds between two reports."""


@contextmanager
def counting(source: Source, emit: Emit) -> Generator[Callable[[], int | None]]:
    """Count a source in the background if it does not know its length and progress is reported.

    Yields:
        A function that returns the number of entries; None while it is not known.
    """
    total, is_over = source.count(), threading.Event()

    def count() -> None:
        nonlocal total
        found = 0
        with contextlib.suppress(DgaalError):  # whoever reads the source raises it, too
            for _ in source.entries():
                found += 1
                if is_over.is_set():
                    return
        total = found

    if total is None and emit is not ignore:
        threading.Thread(target=count, name="dgaal-count", daemon=True).start()
    try:
        yield lambda: total
    finally:
        is_over.set()


class Reading:
    """Reports images as they are read; ``total`` returns their number, or None."""

    def __init__(self, emit: Emit, total: Callable[[], int | None]) -> None:
        self._emit, self._total = emit, total
        self._done = self._unreadable = self._first = 0
        self._began = self._reported = time.perf_counter()

    def add(self, count: int, *, unreadable: int = 0) -> None:
        """Note images that are done, and report if a report is due."""
        now = time.perf_counter()
        if not self._done:  # the start of decoder processes does not count
            self._began, self._first = now, count
        self._done += count
        self._unreadable += unreadable
        total = self._total()
        if now - self._reported < INTERVAL_S and self._done != total:
            return
        self._reported = now
        rate = (self._done - self._first) / (now - self._began) if now > self._began else 0.0
        self._emit(
            ReadProgress(done=self._done, total=total, rate=rate, unreadable=self._unreadable)
        )

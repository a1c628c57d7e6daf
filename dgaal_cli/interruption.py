"""Ctrl-C, SIGTERM and SIGHUP as a flag that long loops check between two complete steps.

A ``KeyboardInterrupt`` could arrive between two optimizer updates and leave an inconsistent state.
The first signal requests a stop; a second one of the same kind ends the process immediately.
"""

import contextlib
import os
import signal
import stat
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType

from dgaal_cli.errors import InterruptedRunError

_signal_number: int | None = None


def check(message: str) -> None:
    """Raise an error if a signal has requested a stop.

    Args:
        message: Message for the user: what was saved and how to continue.

    Raises:
        InterruptedRunError: A signal has arrived in the block of ``listening``.
    """
    if _signal_number is not None:
        raise InterruptedRunError(message, signal_number=_signal_number)


def is_asked() -> bool:
    """Return whether a signal has requested a stop."""
    return _signal_number is not None


def signal_name(number: int) -> str:
    """Return a name such as ``SIGTERM``; ``signal NUMBER`` if it has none."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


@contextmanager
def listening() -> Generator[None]:
    """Set the flag on SIGINT, SIGTERM and SIGHUP while the block runs; main thread only.

    SIGHUP stays ignored if it is, as by ``nohup``. Blocks may be nested; only the outermost clears
    the flag at its end.
    """
    global _signal_number  # noqa: PLW0603 - signals are process-wide
    if signal.getsignal(signal.SIGINT) is _request_stop or _signal_number is not None:
        yield
        return
    is_hangup_ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    kinds = (signal.SIGINT, signal.SIGTERM, *(() if is_hangup_ignored else (signal.SIGHUP,)))
    previous = {kind: signal.signal(kind, _request_stop) for kind in kinds}
    try:
        yield
    finally:
        _signal_number = None
        for kind, handler in previous.items():
            signal.signal(kind, handler)


def _request_stop(number: int, _frame: FrameType | None) -> None:
    global _signal_number  # noqa: PLW0603
    _signal_number = number
    if number == signal.SIGHUP:
        _leave_closed_terminal()
    signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)


def _leave_closed_terminal() -> None:
    """Discard what is written to a terminal that was closed; each write would be an error."""
    for descriptor in (1, 2):
        with contextlib.suppress(OSError):
            is_device = stat.S_ISCHR(os.fstat(descriptor).st_mode)
            if is_device and not os.isatty(descriptor):
                null = os.open(os.devnull, os.O_WRONLY)
                os.dup2(null, descriptor)
                os.close(null)

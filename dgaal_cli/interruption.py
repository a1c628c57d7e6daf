"""Ctrl-C and SIGTERM as a flag that long loops look at between two whole steps.

A ``KeyboardInterrupt`` could land between two optimizer updates and leave a state that never
existed. The first signal asks; a second one of the same kind ends the process at once.
"""

import signal
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType

from dgaal_cli.errors import InterruptedRunError

_asked: int | None = None


def check(message: str) -> None:
    """Raise if a signal asked this process to stop.

    Args:
        message: What was saved and how to go on, for the user.

    Raises:
        InterruptedRunError: A signal arrived since ``listening`` began.
    """
    if _asked is not None:
        raise InterruptedRunError(message, signal_number=_asked)


def is_asked() -> bool:
    """Tell whether a signal asked this process to stop."""
    return _asked is not None


@contextmanager
def listening() -> Generator[None]:
    """Turn SIGINT and SIGTERM into the flag while the block runs; main thread only.

    Blocks may nest; only the outermost forgets a signal when it ends.
    """
    global _asked  # noqa: PLW0603 - signals are process-wide
    if signal.getsignal(signal.SIGINT) is _ask or _asked is not None:
        yield
        return
    kinds = (signal.SIGINT, signal.SIGTERM)
    previous = {kind: signal.signal(kind, _ask) for kind in kinds}
    try:
        yield
    finally:
        _asked = None
        for kind, handler in previous.items():
            signal.signal(kind, handler)


def _ask(number: int, _frame: FrameType | None) -> None:
    global _asked  # noqa: PLW0603
    _asked = number
    signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)

"""Messages of the server's libraries: one line each, and a bounded number of lines."""

import logging
import sys

from dgaal_cli.escaping import show

MAX_LINES = 50


class BoundedLog(logging.Handler):
    """Writes to stderr, without tracebacks: requests of other users can cause errors."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._lines = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Write the first line of a message and the type of its exception."""
        self._lines += 1
        if self._lines > MAX_LINES + 1:
            return
        text = record.getMessage().partition("\n")[0][:200]
        kind = record.exc_info[0].__name__ if record.exc_info and record.exc_info[0] else ""
        text = f"{text} ({kind})" if kind else text
        if self._lines > MAX_LINES:
            text = "more messages of the server are not shown"
        sys.stderr.write(f"dgaal: {show(text)}\n")

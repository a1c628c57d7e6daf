"""Keeps what exporters print, warn and log away from the user's terminal."""

import contextlib
import io
import logging
import warnings
from collections.abc import Generator


class ExportError(RuntimeError):
    """A module cannot be brought into a format."""


@contextlib.contextmanager
def contained() -> Generator[io.StringIO]:
    """Swallow output, warnings and log records of the block; yields what was printed.

    Exporters try several ways and tell of each on stdout, and TorchScript announces its own
    deprecation at every call. Whoever calls an exporter says once what a user should know.
    """
    printed = io.StringIO()
    disabled = logging.root.manager.disable
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(printed),
        contextlib.redirect_stderr(printed),
    ):
        warnings.simplefilter("ignore")
        logging.disable(logging.CRITICAL)
        try:
            yield printed
        finally:
            logging.disable(disabled)

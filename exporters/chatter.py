"""Capture output, warnings and log records of the export libraries."""

import contextlib
import io
import logging
import warnings
from collections.abc import Generator


class ExportError(RuntimeError):
    """A module cannot be exported to a format."""


@contextlib.contextmanager
def contained() -> Generator[io.StringIO]:
    """Suppress output, warnings and log records of the block; yield the printed text.

    Exporters try several strategies and print about each, and TorchScript warns of its deprecation
    at every call. The caller reports once what the user needs to know.
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

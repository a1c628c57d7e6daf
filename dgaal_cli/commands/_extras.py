"""Turns the absence of an optional package into the line that installs it."""

from collections.abc import Generator
from contextlib import contextmanager

from dgaal_cli.errors import MissingExtraError


@contextmanager
def needing(extra: str, *, command: str) -> Generator[None]:
    """Import what ``command`` needs inside the block.

    Raises:
        MissingExtraError: A package outside dgaal is missing; the message names the extra.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        missing = error.name or "a package"
        if missing.partition(".")[0] in ("dgaal_cli", "exporters"):
            raise
        raise MissingExtraError(command, extra, missing) from error

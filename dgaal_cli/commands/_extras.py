"""Report a missing optional package with the command that installs it."""

from collections.abc import Generator
from contextlib import contextmanager

from dgaal_cli.errors import MissingExtraError


@contextmanager
def needing(extra: str, *, command: str) -> Generator[None]:
    """Context for the optional imports of ``command``.

    Raises:
        MissingExtraError: A third-party package is missing; the message names the extra.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        missing = error.name or "a package"
        if missing.partition(".")[0] in ("dgaal_cli", "exporters"):
            raise
        raise MissingExtraError(command, extra, missing) from error

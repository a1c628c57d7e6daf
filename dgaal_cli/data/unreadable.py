"""The error for an image that cannot be read; the score table shows its reason."""

import re

from dgaal_cli.errors import InputDataError
from dgaal_cli.escaping import show

_ADDRESS = re.compile(r"<[^<>]* at 0x[0-9a-fA-F]+>|0x[0-9a-fA-F]{6,}")
_MAX_LENGTH = 120


class UnreadableImageError(InputDataError):
    """One image cannot be decoded; other images are not affected."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
        """A few words, the same on every run, without addresses and control characters."""


def describe(error: BaseException) -> str:
    """Return the reason for an exception in a few words, the same on every run."""
    if isinstance(error, UnreadableImageError):
        return error.reason
    if isinstance(error, MemoryError):
        return "needs more memory than a decoder may use"
    if isinstance(error, OSError) and error.strerror:
        return f"cannot be read: {error.strerror.lower()}"
    # Pillow's messages contain object addresses; a table must be byte-identical on every run.
    message = show(_ADDRESS.sub("", " ".join(str(error).split()))).strip()[:_MAX_LENGTH]
    return f"damaged image: {message or type(error).__name__}"

"""The one error for an image that cannot be used; its reason stands in the score table."""

import re

from dgaal_cli.errors import InputDataError
from dgaal_cli.escaping import show

_ADDRESS = re.compile(r"<[^<>]* at 0x[0-9a-fA-F]+>|0x[0-9a-fA-F]{6,}")
_MAX_LENGTH = 120


class UnreadableImageError(InputDataError):
    """One image that cannot be decoded; the others are not touched by it."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
        """A few words, the same on every run: no addresses, no control characters."""


def describe(error: BaseException) -> str:
    """Say in a few words, equal on every run, what an exception means for one image."""
    if isinstance(error, UnreadableImageError):
        return error.reason
    if isinstance(error, MemoryError):
        return "needs more memory than a decoder may use"
    if isinstance(error, OSError) and error.strerror:
        return f"cannot be read: {error.strerror.lower()}"
    # Pillow puts object addresses into messages; a table must be byte-identical on every run.
    message = show(_ADDRESS.sub("", " ".join(str(error).split()))).strip()[:_MAX_LENGTH]
    return f"damaged image: {message or type(error).__name__}"

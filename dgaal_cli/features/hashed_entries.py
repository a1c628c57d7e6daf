"""Read the images of a source once: their digest decides whether they must be encoded."""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from dgaal_cli.data.decode_stream import image_digest
from dgaal_cli.data.sources.base import Encoded, Entry
from dgaal_cli.data.unreadable import UnreadableImageError


class HashedImage(NamedTuple):
    """An image that was read; replaces the reader of an entry."""

    data: Encoded
    digest: bytes

    def __call__(self) -> Encoded:
        """Return the image."""
        return self.data


def without_known(
    entries: Iterable[Entry], is_known: Callable[[bytes], bool], skip: Callable[[], None]
) -> Iterator[Entry]:
    """Yield entries whose image is new, with a ``HashedImage``, and those that cannot be read.

    Args:
        entries: Entries of a source.
        is_known: Whether the image with this SHA-256 needs no features.
        skip: Called for each entry that is left out.
    """
    for entry in entries:
        try:
            data = entry.read()
        except UnreadableImageError:
            yield entry  # its decoder reports the reason
            continue
        digest = image_digest(data)
        if is_known(digest):
            skip()
        else:
            yield entry._replace(read=HashedImage(data, digest))

"""Bytes of a file with the number of the page to decode. Imports nothing, to start fast."""

ALL_PAGES = 2**32 - 1
"""Number that means the brightest sample of all pages."""
_MAGIC = b"dgaal page\0\0"
_START = len(_MAGIC) + 4


def with_page(data: bytes, page: int) -> bytes:
    """Return bytes of a file and of the number of a page, from 0, or ``ALL_PAGES``."""
    return _MAGIC + page.to_bytes(4, "little") + data


def has_page(data: bytes) -> bool:
    """Return whether bytes are of ``with_page``."""
    return data.startswith(_MAGIC) and len(data) >= _START


def split_page(data: bytes) -> tuple[bytes, int]:
    """Return the bytes of a file and the number of the page, 0 if they state none."""
    if not has_page(data):
        return data, 0
    return data[_START:], int.from_bytes(data[len(_MAGIC) : _START], "little")

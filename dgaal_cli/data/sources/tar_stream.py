"""Read tar headers one after another, forward only.

This replaces the standard library's reader: pools need only regular files, every step must move
forward for any header, and an unusual member must cause a refusal of the archive, not be skipped.
"""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from dgaal_cli.data.regular_files import MAX_FILE_BYTES
from dgaal_cli.data.sources.naming import member_name, refused
from dgaal_cli.errors import InputDataError
from dgaal_cli.escaping import show

_BLOCK = 512
_MAX_TEXT_BYTES = 2**20
"""Max. length of an extended header or long name."""
_REGULAR = (b"0", b"\0", b"7")
_FOLDER = b"5"
_LONG_NAME = b"L"
_PAX, _PAX_GLOBAL = b"x", b"g"


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One regular file of a tar archive."""

    name: str
    """As in ``naming.member_name``."""
    size: int
    offset: int
    """Position of its first byte in the uncompressed archive."""


class TarStream:
    """Iterates over the members of a stream; the caller may read the current member's data."""

    def __init__(self, stream: BinaryIO, archive: str) -> None:
        self._stream = stream
        self._archive = archive
        self._at = 0

    def members(self) -> Iterator[Member]:
        """Yield regular files in the order of the archive.

        Raises:
            InputDataError: A header is damaged, or a member is not a file or folder.
        """
        name: str | None = None
        size: int | None = None
        is_first = True
        while (header := self._header(is_first=is_first)) is not None:
            is_first = False
            kind = header[156:157]
            length = self._size(header[124:136]) if size is None else size
            start = self._at
            if kind == _LONG_NAME:
                name = _text(self._take_text(length).rstrip(b"\0"))
            elif kind in (_PAX, _PAX_GLOBAL):
                records = self._records(self._take_text(length))
                if kind == _PAX:
                    name, size = records.get("path", name), self._pax_size(records)
            else:
                if kind in _REGULAR:
                    if length > MAX_FILE_BYTES:
                        raise self._refused(f"a member is over {MAX_FILE_BYTES // 2**20} MiB")
                    found = name if name is not None else _name(header)
                    if not found.endswith("/"):
                        yield Member(name=member_name(found), size=length, offset=start)
                elif kind != _FOLDER:
                    raise self._refused("it contains a link, a device or a sparse file")
                name = size = None
            self._skip_to(start + length + -length % _BLOCK)

    def read(self, member: Member) -> bytes:
        """Return the data of the member that ``members`` has just yielded."""
        data = self._stream.read(member.size)
        self._at += len(data)
        if len(data) != member.size:
            raise self._refused("it ends within a member")
        return data

    def _header(self, *, is_first: bool) -> bytes | None:
        header = self._stream.read(_BLOCK)
        self._at += len(header)
        if is_first and len(header) < _BLOCK:
            raise self._refused("it is not a tar file")
        if not header:
            shown = show(self._archive)
            file = shlex.quote(shown) if shown == self._archive else "FILE"
            raise InputDataError(
                f"the archive {shown} has no end mark, so it may be truncated; create it "
                "again from the images, or if it is complete and not compressed, add one: "
                f"truncate -s +1024 {file}"
            )
        if len(header) < _BLOCK:
            raise self._refused("it ends within a header")
        if not header.strip(b"\0"):  # two zero blocks end an archive; one is enough here
            return None
        if not _is_checksum_right(header):
            raise self._refused("it is not a tar file" if is_first else "a header is damaged")
        return header

    def _size(self, raw: bytes) -> int:
        if raw[0] & 0x80:  # base 256; the second bit would make it negative
            value = int.from_bytes(raw[1:])
            if raw[0] != 0x80:
                raise self._refused("a member has a negative size")
            return value
        octal = _octal(raw)
        if octal is None:
            raise self._refused("a header is damaged")
        return octal

    def _take_text(self, length: int) -> bytes:
        if length > _MAX_TEXT_BYTES:
            raise self._refused("an extended header is too long")
        data = self._stream.read(length)
        self._at += len(data)
        if len(data) != length:
            raise self._refused("it ends within a header")
        return data

    def _records(self, data: bytes) -> dict[str, str]:
        """Read ``LENGTH KEY=VALUE`` lines."""
        records: dict[str, str] = {}
        while data.strip(b"\0"):
            length_text, _, _ = data.partition(b" ")
            if not length_text.isdigit() or not 5 <= (length := int(length_text[:8])) <= len(data):
                raise self._refused("an extended header is damaged")
            key, equals, value = data[len(length_text) + 1 : length - 1].partition(b"=")
            if not equals:
                raise self._refused("an extended header is damaged")
            if key.startswith(b"GNU.sparse"):
                raise self._refused("it contains a sparse file")
            records[_text(key)] = _text(value)
            data = data[length:]
        return records

    def _pax_size(self, records: dict[str, str]) -> int | None:
        text = records.get("size")
        if text is None:
            return None
        if not (text.isascii() and text.isdigit() and len(text) < 20):
            raise self._refused("a member has an invalid size")
        return int(text)

    def _skip_to(self, target: int) -> None:
        if self._stream.seekable():
            self._stream.seek(target)
            self._at = target
            return
        while self._at < target:
            data = self._stream.read(min(target - self._at, 2**20))
            if not data:
                raise self._refused("it ends within a member")
            self._at += len(data)

    def _refused(self, why: str) -> Exception:
        return refused(self._archive, why)


def _is_checksum_right(header: bytes) -> bool:
    """Compare the checksum, the sum of all bytes with those of the checksum itself as blanks."""
    return sum(header[:148]) + 8 * ord(" ") + sum(header[156:]) == _octal(header[148:156])


def _octal(raw: bytes) -> int | None:
    text = raw.strip(b"\0 ")
    if not all(ord("0") <= digit <= ord("7") for digit in text):
        return None
    return int(text, 8) if text else 0


def _name(header: bytes) -> str:
    name = _text(header[:100].partition(b"\0")[0])
    prefix = header[345:500].partition(b"\0")[0] if header[257:262] == b"ustar" else b""
    # GNU tar writes times in the field of the POSIX prefix.
    is_posix = header[257:265] == b"ustar\x0000"
    return f"{_text(prefix)}/{name}" if prefix and is_posix else name


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")

"""A list of image files: a single file, ``--files-from FILE`` or ``--files-from -``."""

import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from dgaal_cli.data.sources.base import Entry, FileBytes, Source, gone
from dgaal_cli.errors import InputDataError
from dgaal_cli.ids import SampleId

_MAX_NAME = 65_536


class FileListSource(Source):
    """Files in the given order; the id is the name as written."""

    def __init__(self, names: Iterable[bytes], *, base: Path, spec: str) -> None:
        self._names = dict.fromkeys(names)  # ordered, unique, fast lookup
        self._base = os.fsencode(base)
        self.spec = spec
        if not self._names:
            raise InputDataError(f"{spec} names no files; write one path per line")

    def entries(self) -> Iterator[Entry]:
        """Stream the files in the given order."""
        return map(self._entry, self._names)

    def count(self) -> int | None:
        return len(self._names)

    def get(self, sample_id: SampleId) -> Entry:
        name = os.fsencode(sample_id)
        if name not in self._names:
            raise gone(sample_id, self.spec)
        return self._entry(name)

    def _entry(self, name: bytes) -> Entry:
        path = os.fsdecode(os.path.join(self._base, name))  # noqa: PTH118 - names may be any bytes
        return Entry(id=SampleId(os.fsdecode(name)), path=path, read=FileBytes(path))


def open_file(path: Path) -> FileListSource:
    """Open a single image."""
    return FileListSource([os.fsencode(path.name)], base=path.parent, spec=str(path))


def open_list(name: str, *, base: Path) -> FileListSource:
    """Open a list of file names.

    Args:
        name: A file with names separated by newlines or NUL; ``-`` for standard input.
        base: Folder that relative names are relative to.

    Raises:
        InputDataError: The list cannot be read or is empty.
    """
    if name == "-":
        return FileListSource(read_names(sys.stdin.buffer, spec="-"), base=base, spec="-")
    try:
        with (base / name).open("rb") as stream:
            return FileListSource(read_names(stream, spec=name), base=base, spec=name)
    except OSError as error:
        raise InputDataError(
            f"cannot read the list {name}: {error.strerror}; give a file of file names"
        ) from None


def read_names(stream: BinaryIO, *, spec: str) -> Iterator[bytes]:
    """Yield names separated by NUL, or by newlines if the first block contains no NUL.

    Raises:
        InputDataError: A name is longer than any file system allows.
    """
    block = stream.read(2**16)
    separator = b"\0" if b"\0" in block else b"\n"
    rest = b""
    while block:
        *names, rest = (rest + block).split(separator)
        if len(rest) > _MAX_NAME:
            raise InputDataError(f"{spec} contains a name of over {_MAX_NAME} bytes")
        yield from _clean(names, separator)
        block = stream.read(2**16)
    yield from _clean([rest], separator)


def _clean(names: list[bytes], separator: bytes) -> Iterator[bytes]:
    for name in names:
        cleaned = name.removesuffix(b"\r") if separator == b"\n" else name
        if cleaned:
            yield cleaned

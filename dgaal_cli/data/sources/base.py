"""Interface of a source of images: entries with stable ids, independent of the storage."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from dgaal_cli.data.regular_files import read_file
from dgaal_cli.data.unreadable import UnreadableImageError
from dgaal_cli.errors import InputDataError
from dgaal_cli.escaping import show
from dgaal_cli.ids import SampleId

_T = TypeVar("_T")
IsKnown = Callable[[str, "os.DirEntry[str]"], bool]
Encoded = bytes | npt.NDArray[np.uint8]


class Entry(NamedTuple):
    """One image of a source, not read yet.

    A tuple, because pools have millions of entries: a frozen dataclass is four times as slow.
    """

    id: SampleId
    """Stable id: relative path, archive member or row; undecodable bytes as surrogate escapes."""
    read: Callable[[], Encoded]
    """Encoded file, or uint8 pixels (H, W) or (H, W, C); raises ``UnreadableImageError``."""
    label: str | None = None
    """Class according to the source; used only if the user requests it."""
    split: str = ""
    """Split of the source, such as ``train``; empty if it has none."""
    path: str = ""
    """Path shown in the score table: the file's path, or ``archive!member``."""
    group: str = ""
    """What it shares with other images, such as a patient; empty: it is a group of its own."""


class Source(Protocol):
    """A source of images. Each iteration returns the same entries in the same order."""

    spec: str
    """Normalized SOURCE text; ``open_source`` returns the same source for it."""

    def entries(self) -> Iterator[Entry]:
        """Stream all entries in a fixed order."""
        ...

    def entries_except(self, is_known: IsKnown) -> Iterator[Entry]:
        """Stream the entries in the same order, without files that are known.

        Args:
            is_known: Called with the id and the directory entry of each file below a folder, before
                anything else is done with it. A source that lists no folder does not call it.
        """
        del is_known
        return self.entries()

    def count(self) -> int | None:
        """Return the number of entries; None if it needs a full pass."""
        return None

    def get(self, sample_id: SampleId) -> Entry:
        """Return one entry.

        Raises:
            InputDataError: The source does not contain this sample.
        """
        ...

    def path_of(self, sample_id: SampleId) -> str | None:
        """Return the path of an image that is a file of its own, which may be gone; else None.

        Raises:
            InputDataError: The source does not contain this sample.
        """
        read = self.get(sample_id).read
        return read.path if isinstance(read, FileBytes) else None

    def stamp(self) -> str:
        """Return a text that changes with the container file; empty if each file has a stamp."""
        return ""


class ContainerSource(Source):
    """A source in one file; a lookup reads all entries on first use."""

    def __init__(self, path: Path) -> None:
        self.spec = str(path)
        self._path = path
        self._index: dict[SampleId, Entry] | None = None

    def get(self, sample_id: SampleId) -> Entry:
        if self._index is None:
            self._index = {entry.id: entry for entry in self.entries()}
        if sample_id not in self._index:
            raise gone(sample_id, self.spec)
        return self._index[sample_id]

    def stamp(self) -> str:
        return file_stamp(self._path)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """The images of one split, by row."""

    split: str
    count: int
    labels: Sequence[str | None] | None
    reader: Callable[[int], Callable[[], Encoded]]
    """Returns ``Entry.read`` of a row."""


class RowSource(Source):
    """Rows of arrays, split after split; the id is ``row_id``."""

    _name: str
    """Start of the paths in the score table."""
    _parts: Sequence[Rows] = ()

    def parts(self) -> Sequence[Rows]:
        """Return the splits in order."""
        return self._parts

    def entries(self) -> Iterator[Entry]:
        return (self._entry(part, row) for part in self.parts() for row in range(part.count))

    def count(self) -> int | None:
        return sum(part.count for part in self.parts())

    def get(self, sample_id: SampleId) -> Entry:
        split, _, digits = sample_id.rpartition("/")
        for part in self.parts():
            if part.split == split and digits.isdecimal() and int(digits) < part.count:
                row = int(digits)
                if row_id(split, row) == sample_id:
                    return self._entry(part, row)
        raise gone(sample_id, self.spec)

    def _entry(self, part: Rows, row: int) -> Entry:
        name = row_id(part.split, row)
        label = part.labels[row] if part.labels else None
        return Entry(name, part.reader(row), label, part.split, f"{self._name}!{name}")


class FileBytes(NamedTuple):
    """Reads one file. A value, not a closure, so that a decoder process can receive the path."""

    path: str

    def __call__(self) -> bytes:
        """Return the file's bytes."""
        return read_file(os.fsencode(self.path))

    def stamp(self) -> str:
        """Return size and modification time; empty if the file is missing."""
        return file_stamp(self.path)


class BlockRow(NamedTuple):
    """One image of a block. A value, not a closure, so that neighbors can be sliced together."""

    block: npt.NDArray[np.uint8]
    """(N, H, W) or (N, H, W, C)."""
    row: int

    def __call__(self) -> npt.NDArray[np.uint8]:
        """Return the image's pixels."""
        return self.block[self.row]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Replaces the reader of an entry that must not be opened."""

    reason: str

    def __call__(self) -> bytes:
        """Raise ``UnreadableImageError``."""
        raise UnreadableImageError(self.reason)


def unique(
    entries: Iterable[tuple[int, Entry]], wrong: Callable[[int, str], InputDataError]
) -> Iterator[Entry]:
    """Yield entries, each given with its line or row; raise ``wrong`` if an id occurs twice."""
    seen: set[int] = set()
    for place, entry in entries:
        # Hashes save memory; for a million ids the probability of a collision is below 1e-7.
        key = hash(entry.id)
        if key in seen:
            raise wrong(place, f"the id {show(entry.id)} occurs twice")
        seen.add(key)
        yield entry


def held(data: _T) -> Callable[[], _T]:
    """Return the reader of an image that is in memory."""
    return lambda: data


def file_stamp(path: str | os.PathLike[str]) -> str:
    """Return size and modification time of one file; empty if it cannot be read.

    For a symbolic link, those of the file that it names.
    """
    try:
        status = os.stat(path)  # noqa: PTH116 - hot
    except OSError:
        return ""
    return f"{status.st_size}:{status.st_mtime_ns}"


def gone(sample_id: SampleId, spec: str) -> InputDataError:
    """Return the error for a sample that a source does not contain."""
    return InputDataError(
        f"the pool {spec} contains no image {sample_id}; "
        "it may have been renamed or deleted since the workspace was created"
    )


def row_id(split: str, row: int) -> SampleId:
    """Return the id of one row of an array."""
    return SampleId(f"{split}/{row:06d}" if split else f"{row:06d}")

"""What a pool looks like to the rest of dgaal: entries with stable ids, whatever stores them."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from dgaal_cli.data.regular_files import read_file
from dgaal_cli.data.unreadable import UnreadableImageError
from dgaal_cli.errors import InputDataError
from dgaal_cli.escaping import show
from dgaal_cli.ids import SampleId

Encoded = bytes | npt.NDArray[np.uint8]


class Entry(NamedTuple):
    """One image of a source, not read yet.

    A tuple, for pools have millions: a frozen dataclass takes four times as long to make.
    """

    id: SampleId
    """Stable: relative path, archive member or row; undecodable bytes as surrogate escapes."""
    read: Callable[[], Encoded]
    """Encoded file, or uint8 pixels (H, W) or (H, W, C); raises ``UnreadableImageError``."""
    label: str | None = None
    """What the source itself says of the class; never used unless the user asks for it."""
    split: str = ""
    """The part the source puts it in, such as ``train``; empty where it has none."""
    path: str = ""
    """What the score table shows: the file's path, or ``archive!member``."""


class Source(Protocol):
    """Where images come from. Iterating twice gives the same entries in the same order."""

    @property
    def spec(self) -> str:
        """Normalized SOURCE text; opening it again gives the same source."""
        ...

    def entries(self) -> Iterator[Entry]:
        """Stream all entries in a fixed order."""
        ...

    def count(self) -> int | None:
        """Number of entries, or None if only a full pass can tell."""
        ...

    def get(self, sample_id: SampleId) -> Entry:
        """Find one entry.

        Raises:
            InputDataError: The source holds no such sample (any more).
        """
        ...

    def stamp(self) -> str:
        """Text that changes when the container file does; empty where each file has its own."""
        ...


class FileBytes(NamedTuple):
    """Reads one file. A value rather than a closure: a decoder process is handed the path alone."""

    path: str

    def __call__(self) -> bytes:
        """Return the file's bytes."""
        return read_file(os.fsencode(self.path))

    def stamp(self) -> str:
        """Size and time of change; empty if it is gone."""
        return file_stamp(self.path)


class BlockRow(NamedTuple):
    """One image of a block. A value, too: neighbors are taken from their block all at once."""

    block: npt.NDArray[np.uint8]
    """(N, H, W) or (N, H, W, C)."""
    row: int

    def __call__(self) -> npt.NDArray[np.uint8]:
        """Return the image's pixels."""
        return self.block[self.row]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Stands for the bytes of an entry that must not be opened."""

    reason: str

    def __call__(self) -> bytes:
        """Refuse."""
        raise UnreadableImageError(self.reason)


def file_stamp(path: str | os.PathLike[str]) -> str:
    """Size and time of change of one file, or an empty text."""
    try:
        status = os.lstat(path)
    except OSError:
        return ""
    return f"{status.st_size}:{status.st_mtime_ns}"


def gone(sample_id: SampleId, spec: str) -> InputDataError:
    """Build the error for a sample that a source does not hold."""
    return InputDataError(
        f"the pool {show(spec)} holds no image {show(sample_id)}; "
        "it may have been renamed or removed since the workspace was made"
    )


def row_id(split: str, row: int) -> SampleId:
    """Id of one row of an array."""
    return SampleId(f"{split}/{row:06d}" if split else f"{row:06d}")

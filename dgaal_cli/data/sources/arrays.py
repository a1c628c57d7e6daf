"""Images in a NumPy archive: arrays ``x``, ``x_train``, ``x_test``, with labels ``y*``."""

import threading
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import repeat
from pathlib import Path
from typing import IO, Any, TypeVar

import numpy as np
import numpy.typing as npt

from dgaal_cli.data.sources.base import BlockRow, Entry, Rows, RowSource, file_stamp, row_id
from dgaal_cli.data.sources.naming import NO_LABEL
from dgaal_cli.errors import InputDataError
from dgaal_cli.escaping import show

_BLOCK_BYTES = 2**19
"""Larger blocks cause page faults, up to six times the time of reading (measured)."""
_BLOCK_ROWS = 64
"""Blocks are multiples of this if possible, like batches."""
_MAX_LABELS = 100_000_000

_Tuple = TypeVar("_Tuple", bound=tuple[Any, ...])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Member:
    name: str
    split: str
    shape: tuple[int, ...]
    labels: tuple[str | None, ...] | None

    @property
    def row_shape(self) -> tuple[int, ...]:
        return self.shape[1:]

    @property
    def row_bytes(self) -> int:
        return int(np.prod(self.row_shape))


class ArraySource(RowSource):
    """Rows of the uint8 arrays ``x*`` of shape (N, H, W) or (N, H, W, C) of one ``.npz`` file.

    Rows are streamed: memory does not grow with the array. Only random access loads a full array.
    """

    def __init__(self, path: Path) -> None:
        self.spec = self._name = str(path)
        self._path = path
        self._loaded: dict[str, npt.NDArray[np.uint8]] = {}
        self._lock = threading.Lock()
        try:
            with zipfile.ZipFile(path) as archive:
                self._members = _members(archive, path)
        except (zipfile.BadZipFile, NotImplementedError, ValueError, EOFError, OSError) as error:
            raise InputDataError(f"{path} is not a readable .npz file: {_short(error)}") from None
        self._parts = [
            Rows(
                split=member.split,
                count=member.shape[0],
                labels=member.labels,
                reader=partial(self._reader, member),
            )
            for member in self._members
        ]

    def entries(self) -> Iterator[Entry]:
        """Stream rows block by block, in the order of the file."""
        for member in self._members:
            row = 0
            for block in self._blocks(member):
                yield from self._entries(member, row, block)
                row += len(block)

    def _entries(
        self, member: _Member, first: int, block: npt.NDArray[np.uint8]
    ) -> Iterator[Entry]:
        """Return the entries of a block, built by columns in a third of the time of a loop."""
        rows = range(first, first + len(block))
        names = [row_id(member.split, row) for row in rows]
        reads = map(_tuples(BlockRow), zip(repeat(block), range(len(block)), strict=False))
        labels = repeat(None) if member.labels is None else member.labels[first : rows.stop]
        paths = [f"{self.spec}!{name}" for name in names]
        splits, groups = repeat(member.split), repeat("")
        columns = zip(names, reads, labels, splits, paths, groups, strict=False)
        return map(_tuples(Entry), columns)

    def stamp(self) -> str:
        return file_stamp(self._path)

    def _reader(self, member: _Member, row: int) -> BlockRow:
        return BlockRow(self._load(member), row)

    def _load(self, member: _Member) -> npt.NDArray[np.uint8]:
        with self._lock:
            if member.name not in self._loaded:
                self._loaded[member.name] = np.concatenate(list(self._blocks(member)))
            return self._loaded[member.name]

    def _blocks(self, member: _Member) -> Iterator[npt.NDArray[np.uint8]]:
        rows = max(1, _BLOCK_BYTES // max(1, member.row_bytes))
        rows -= rows % _BLOCK_ROWS if rows > _BLOCK_ROWS else 0
        try:
            with zipfile.ZipFile(self._path) as archive, archive.open(member.name) as stream:
                shape, _, _ = _header(stream)
                if shape != member.shape:
                    raise InputDataError(f"{self.spec} changed while it was read; try again")
                for start in range(0, member.shape[0], rows):
                    count = min(rows, member.shape[0] - start)
                    data = stream.read(count * member.row_bytes)
                    # Truncated data raises ValueError here.
                    yield np.frombuffer(data, np.uint8).reshape(count, *member.row_shape)
        except (zipfile.BadZipFile, NotImplementedError, ValueError, EOFError, OSError) as error:
            raise InputDataError(f"cannot read {self.spec}: {_short(error)}") from None


def _members(archive: zipfile.ZipFile, path: Path) -> list[_Member]:
    found: list[_Member] = []
    others: list[str] = []
    for info in archive.infolist():
        key = info.filename.removesuffix(".npy")
        if not key.startswith("x"):
            continue
        with archive.open(info) as stream:
            shape, dtype, is_fortran = _header(stream)
        if dtype != np.uint8 or not _holds_images(shape) or is_fortran:
            others.append(f"{show(key)}: {dtype} {shape}")
            continue
        if shape[0] == 0:
            continue
        split = key[1:].lstrip("_")
        labels = _labels(archive, "y" + key[1:], shape[0], path)
        found.append(_Member(name=info.filename, split=split, shape=shape, labels=labels))
    if not found:
        raise InputDataError(
            f"{path} contains no images: it needs an array x, x_train or x_test of "
            "uint8 and shape (N, H, W) or (N, H, W, C) with C 1, 3 or 4; "
            f"found {'; '.join(others) or 'none'}"
        )
    return found


def _holds_images(shape: tuple[int, ...]) -> bool:
    if len(shape) == 4 and shape[3] not in (1, 3, 4):
        return False
    return len(shape) in (3, 4) and (shape[0] == 0 or 0 not in shape)


def _labels(
    archive: zipfile.ZipFile, key: str, count: int, path: Path
) -> tuple[str | None, ...] | None:
    if f"{key}.npy" not in archive.namelist():
        return None
    with archive.open(f"{key}.npy") as stream:
        shape, dtype, _ = _header(stream)
    if len(shape) != 1 or dtype.kind not in "iuU" or shape[0] > _MAX_LABELS:
        return None
    if shape[0] != count:
        raise InputDataError(
            f"{path}: {key} contains {shape[0]} labels for {count} images; they must be equal"
        )
    with archive.open(f"{key}.npy") as stream:
        values = np.lib.format.read_array(stream, allow_pickle=False)
    return tuple(None if value == NO_LABEL else str(value) for value in values.tolist())


def _header(stream: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any], bool]:
    """Read shape, type and memory order of one ``.npy`` member, without its data."""
    version = np.lib.format.read_magic(stream)
    read = (
        np.lib.format.read_array_header_1_0
        if version == (1, 0)
        else np.lib.format.read_array_header_2_0
    )
    shape, is_fortran, dtype = read(stream)
    return shape, dtype, is_fortran


def _tuples(kind: type[_Tuple]) -> Callable[[tuple[Any, ...]], _Tuple]:
    """Return a constructor of named tuples that runs in C."""
    return partial(tuple.__new__, kind)


def _short(error: Exception) -> str:
    return show(str(error))[:160] or type(error).__name__

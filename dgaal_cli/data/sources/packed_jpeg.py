"""Encoded images in a NumPy archive: all files of a split concatenated in one array of bytes.

``x_train_jpeg`` contains the bytes, ``x_train_offsets`` the start of each file and the end of the
last, ``y_train`` the labels. Lossy data keep their size on disk.
"""

import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dgaal_cli.data.sources.base import Entry, file_stamp, gone, row_id
from dgaal_cli.errors import InputDataError
from dgaal_cli.escaping import show
from dgaal_cli.ids import SampleId

_BYTES, _OFFSETS = "_jpeg", "_offsets"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    split: str
    data: npt.NDArray[np.uint8]
    offsets: npt.NDArray[np.int64]
    """(N + 1,), ascending."""
    labels: tuple[str, ...] | None


def holds_packed_jpeg(path: Path) -> bool:
    """Return whether an ``.npz`` file has such arrays; False if it is damaged."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = set(archive.namelist())
    except (zipfile.BadZipFile, OSError):
        return False
    ends = f"{_BYTES}.npy"
    return any(
        name.startswith("x")
        and name.endswith(ends)
        and f"{name.removesuffix(ends)}{_OFFSETS}.npy" in names
        for name in names
    )


class PackedJpegSource:
    """Rows of ``x*_jpeg`` arrays; the encoded bytes stay in memory after the first read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._parts_read: list[_Part] | None = None

    @property
    def spec(self) -> str:
        """Path of the file."""
        return str(self._path)

    def entries(self) -> Iterator[Entry]:
        """Stream rows, split after split in the order of the file."""
        for part in self._parts():
            for row in range(len(part.offsets) - 1):
                yield self._entry(part, row)

    def count(self) -> int | None:
        """Return the number of rows of all splits."""
        return sum(len(part.offsets) - 1 for part in self._parts())

    def stamp(self) -> str:
        """Return size and modification time of the file."""
        return file_stamp(self._path)

    def get(self, sample_id: SampleId) -> Entry:
        """Return one row."""
        split, _, digits = sample_id.rpartition("/")
        for part in self._parts():
            row = int(digits) if digits.isdecimal() else len(part.offsets)
            is_valid = part.split == split and row < len(part.offsets) - 1
            if is_valid and row_id(split, row) == sample_id:
                return self._entry(part, row)
        raise gone(sample_id, self.spec)

    def _entry(self, part: _Part, row: int) -> Entry:
        name = row_id(part.split, row)
        return Entry(
            id=name,
            label=part.labels[row] if part.labels else None,
            split=part.split,
            path=f"{self._path}!{name}",
            read=partial(_slice, part, row),
        )

    def _parts(self) -> list[_Part]:
        with self._lock:
            if self._parts_read is None:
                try:
                    with np.load(self._path, allow_pickle=False) as archive:
                        self._parts_read = _read_parts(archive, self.spec)
                except (zipfile.BadZipFile, ValueError, EOFError, OSError) as error:
                    raise InputDataError(
                        f"{self.spec} is not a readable .npz file: {str(error)[:160]}"
                    ) from None
            return self._parts_read


def _slice(part: _Part, row: int) -> bytes:
    return part.data[part.offsets[row] : part.offsets[row + 1]].tobytes()


def _read_parts(archive: "np.lib.npyio.NpzFile", spec: str) -> list[_Part]:
    parts: list[_Part] = []
    for key in archive.files:
        stem = key.removesuffix(_BYTES)
        if not key.startswith("x") or stem == key or stem + _OFFSETS not in archive.files:
            continue
        data, offsets = archive[key], archive[stem + _OFFSETS]
        _check(data, offsets, f"{show(spec)}: {show(key)}")
        labels = archive["y" + stem[1:]] if "y" + stem[1:] in archive.files else None
        if labels is not None and labels.shape != (len(offsets) - 1,):
            raise InputDataError(
                f"{spec}: {'y' + stem[1:]} contains {labels.shape} labels for "
                f"{len(offsets) - 1} images; they must be equal"
            )
        parts.append(
            _Part(
                split=stem[1:].lstrip("_"),
                data=data,
                offsets=offsets.astype(np.int64),
                labels=None if labels is None else tuple(map(str, labels.tolist())),
            )
        )
    return parts


def _check(data: npt.NDArray[np.uint8], offsets: npt.NDArray[np.int64], name: str) -> None:
    is_valid = (
        data.dtype == np.uint8
        and data.ndim == 1
        and offsets.dtype.kind in "iu"
        and offsets.ndim == 1
        and len(offsets) > 1
        and int(offsets[0]) == 0
        and int(offsets[-1]) == len(data)
        and bool((np.diff(offsets.astype(np.int64)) > 0).all())
    )
    if not is_valid:
        raise InputDataError(
            f"{name} and its offsets do not fit: bytes must be uint8 (B,), offsets ascending "
            "integers from 0 to B; create the file again"
        )

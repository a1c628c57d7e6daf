"""Encoded images in a NumPy archive: all files of a split concatenated in one array of bytes.

``x_train_jpeg`` contains the bytes, ``x_train_offsets`` the start of each file and the end of the
last, ``y_train`` the labels. Lossy data keep their size on disk.
"""

import threading
import zipfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dgaal_cli.data.sources.arrays import ArraySource
from dgaal_cli.data.sources.base import Rows, RowSource, Source, file_stamp
from dgaal_cli.errors import InputDataError
from dgaal_cli.escaping import show

_BYTES, _OFFSETS = "_jpeg", "_offsets"


def open_arrays(path: Path) -> Source:
    """Open an ``.npz`` file of encoded images or of pixels."""
    return PackedJpegSource(path) if _holds_packed_jpeg(path) else ArraySource(path)


def _holds_packed_jpeg(path: Path) -> bool:
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


class PackedJpegSource(RowSource):
    """Rows of ``x*_jpeg`` arrays; the encoded bytes stay in memory after the first read."""

    def __init__(self, path: Path) -> None:
        self.spec = self._name = str(path)
        self._path = path
        self._lock = threading.Lock()

    def stamp(self) -> str:
        return file_stamp(self._path)

    def parts(self) -> Sequence[Rows]:
        with self._lock:
            if not self._parts:
                try:
                    with np.load(self._path, allow_pickle=False) as archive:
                        self._parts = _read_parts(archive, self.spec)
                except (zipfile.BadZipFile, ValueError, EOFError, OSError) as error:
                    raise InputDataError(
                        f"{self.spec} is not a readable .npz file: {str(error)[:160]}"
                    ) from None
            return self._parts


def _reader(
    data: npt.NDArray[np.uint8], offsets: npt.NDArray[np.int64], row: int
) -> Callable[[], bytes]:
    return data[offsets[row] : offsets[row + 1]].tobytes


def _read_parts(archive: "np.lib.npyio.NpzFile", spec: str) -> list[Rows]:
    parts: list[Rows] = []
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
            Rows(
                split=stem[1:].lstrip("_"),
                count=len(offsets) - 1,
                labels=None if labels is None else tuple(map(str, labels.tolist())),
                reader=partial(_reader, data, offsets.astype(np.int64)),
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

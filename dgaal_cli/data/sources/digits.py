"""``builtin:digits``: scikit-learn's 1,797 scans of handwritten digits, without a download."""

import gzip
import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from dgaal_cli.data.sources.base import BlockRow, Entry, gone, row_id
from dgaal_cli.errors import MissingExtraError
from dgaal_cli.ids import SampleId

SPEC = "builtin:digits"
TRAIN = 1297
"""Rows before this are ``train``; the last 500, written by other people, are ``test``."""
_LEVELS = 16


class DigitsSource:
    """Gray 8x8 scans with labels 0..9; gray levels 0..16 are scaled to 0..255."""

    def __init__(self) -> None:
        table = _table()
        levels = table[:, :-1].reshape(-1, 8, 8)
        self._images = np.rint(levels * (255 / _LEVELS)).astype(np.uint8)  # (1797, 8, 8)
        self._labels = [str(int(value)) for value in table[:, -1]]

    @property
    def spec(self) -> str:
        """The fixed name ``builtin:digits``."""
        return SPEC

    @property
    def splits(self) -> tuple[str, ...]:
        """The two splits."""
        return ("train", "test")

    def entries(self) -> Iterator[Entry]:
        """Stream all rows in scikit-learn's order."""
        for row in range(len(self._labels)):
            yield self._entry(row)

    def count(self) -> int | None:
        """Return 1,797."""
        return len(self._labels)

    def stamp(self) -> str:
        """Return a constant: the data never change."""
        return "1"

    def get(self, sample_id: SampleId) -> Entry:
        """Return one row."""
        split, _, digits = sample_id.rpartition("/")
        if split in self.splits and digits.isdecimal():
            row = int(digits) + (TRAIN if split == "test" else 0)
            if row < len(self._labels) and self._entry(row).id == sample_id:
                return self._entry(row)
        raise gone(sample_id, SPEC)

    def _entry(self, row: int) -> Entry:
        split, place = ("train", row) if row < TRAIN else ("test", row - TRAIN)
        name = row_id(split, place)
        return Entry(
            id=name,
            label=self._labels[row],
            split=split,
            path=f"{SPEC}!{name}",
            read=BlockRow(self._images, row),
        )


def _table() -> npt.NDArray[np.float64]:
    """Read 64 levels and the digit of each scan, ``(1797, 65)``.

    The file is read directly, because importing scikit-learn takes a second of CPU time.
    """
    found = importlib.util.find_spec("sklearn")
    if found is None or not found.submodule_search_locations:
        raise MissingExtraError(SPEC, "train", "scikit-learn")
    path = Path(found.submodule_search_locations[0]) / "datasets" / "data" / "digits.csv.gz"
    if path.is_file():
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            return np.loadtxt(lines, delimiter=",")
    from sklearn import datasets

    bunch = cast("Any", datasets).load_digits()
    return np.column_stack([bunch.data, bunch.target])

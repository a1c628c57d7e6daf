"""``builtin:digits``: scikit-learn's 1,797 scans of handwritten digits, without a download."""

import gzip
import importlib.util
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from dgaal_cli.data.sources.base import BlockRow, Rows, RowSource
from dgaal_cli.errors import MissingExtraError

SPEC = "builtin:digits"
TRAIN = 1297
"""Rows before this are ``train``; the last 500, written by other people, are ``test``."""
_LEVELS = 16


class DigitsSource(RowSource):
    """Gray 8x8 scans with labels 0..9; gray levels 0..16 are scaled to 0..255."""

    def __init__(self) -> None:
        self.spec = self._name = SPEC
        table = _table()
        levels = table[:, :-1].reshape(-1, 8, 8)
        images = np.rint(levels * (255 / _LEVELS)).astype(np.uint8)  # (1797, 8, 8)
        labels = [str(int(value)) for value in table[:, -1]]
        self._parts = [
            Rows(
                split=split,
                count=len(labels[rows]),
                labels=labels[rows],
                reader=partial(BlockRow, images[rows]),
            )
            for split, rows in (("train", slice(TRAIN)), ("test", slice(TRAIN, None)))
        ]

    def stamp(self) -> str:
        return "1"  # the data never change


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

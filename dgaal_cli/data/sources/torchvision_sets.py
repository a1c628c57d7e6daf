"""``torchvision:CIFAR10`` and other torchvision data sets with their images in one array."""

import importlib
import os
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dgaal_cli.data.sources.base import Entry, gone, row_id
from dgaal_cli.errors import InputDataError, MissingExtraError
from dgaal_cli.ids import SampleId

PREFIX = "torchvision:"
_BY_TRAIN: Mapping[str, Mapping[str, object]] = {
    "train": {"train": True},
    "test": {"train": False},
}
_BY_SPLIT: Mapping[str, Mapping[str, object]] = {
    "train": {"split": "train"},
    "test": {"split": "test"},
}
SETS: Mapping[str, Mapping[str, Mapping[str, object]]] = {
    "CIFAR10": _BY_TRAIN,
    "CIFAR100": _BY_TRAIN,
    "MNIST": _BY_TRAIN,
    "FashionMNIST": _BY_TRAIN,
    "KMNIST": _BY_TRAIN,
    "USPS": _BY_TRAIN,
    "SVHN": _BY_SPLIT,
    "STL10": {**_BY_SPLIT, "unlabeled": {"split": "unlabeled"}},
}
"""Name -> split -> arguments that select it."""


class TorchvisionSource:
    """Images of a torchvision data set on disk."""

    def __init__(self, name: str, root: Path, *, download: bool = False) -> None:
        """Load the set.

        Args:
            name: Class in ``torchvision.datasets``, one of ``SETS``.
            root: Folder with torchvision's files.
            download: Whether to download missing files.

        Raises:
            InputDataError: The set is missing and may not be downloaded.
            MissingExtraError: torchvision is not installed.
        """
        if name not in SETS:
            raise InputDataError(f"{PREFIX}{name} is unknown; use one of {', '.join(SETS)}")
        try:
            dataset: Any = getattr(importlib.import_module("torchvision.datasets"), name)
        except ImportError:
            raise MissingExtraError(f"{PREFIX}{name}", "train", "torchvision") from None
        self._name = name
        self._root = root
        self._images: dict[str, npt.NDArray[np.uint8]] = {}
        self._labels: dict[str, list[str | None]] = {}
        for split, arguments in SETS[name].items():
            try:
                part = dataset(root=str(root), download=download, **arguments)
            except (RuntimeError, OSError, ValueError) as error:
                raise InputDataError(
                    f"{PREFIX}{name} is not in {root} ({str(error)[:120]}); "
                    f"add --download, or give its folder: {PREFIX}{name}:FOLDER"
                ) from None
            self._images[split] = _pixels(part.data)
            self._labels[split] = _label_texts(part)

    @property
    def spec(self) -> str:
        """``torchvision:NAME:FOLDER``."""
        return f"{PREFIX}{self._name}:{self._root}"

    def entries(self) -> Iterator[Entry]:
        """Stream rows, split after split."""
        for split, images in self._images.items():
            for row in range(len(images)):
                yield self._entry(split, row)

    def count(self) -> int | None:
        """Return the number of rows of all splits."""
        return sum(map(len, self._images.values()))

    def stamp(self) -> str:
        """Return the shapes of the splits; torchvision checks its files itself."""
        return repr({split: images.shape for split, images in self._images.items()})

    def get(self, sample_id: SampleId) -> Entry:
        """Return one row."""
        split, _, digits = sample_id.rpartition("/")
        images = self._images.get(split)
        if images is None or not digits.isdecimal() or int(digits) >= len(images):
            raise gone(sample_id, self.spec)
        if row_id(split, int(digits)) != sample_id:
            raise gone(sample_id, self.spec)
        return self._entry(split, int(digits))

    def _entry(self, split: str, row: int) -> Entry:
        name = row_id(split, row)
        return Entry(
            id=name,
            label=self._labels[split][row],
            split=split,
            path=f"{PREFIX}{self._name}!{name}",
            read=partial(_row, self._images[split], row),
        )


def default_root() -> Path:
    """Return the folder of downloaded data sets, in the user's cache."""
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser() / "dgaal" / "torchvision"


def _pixels(data: Any) -> npt.NDArray[np.uint8]:
    array: npt.NDArray[np.uint8] = np.asarray(data)  # some sets contain tensors
    if array.ndim == 4 and array.shape[1] == 3 and array.shape[3] != 3:
        return array.transpose(0, 2, 3, 1)  # SVHN and STL10 keep channels first
    return array


def _label_texts(part: Any) -> list[str | None]:
    targets = getattr(part, "targets", None)
    if targets is None:
        targets = part.labels
    classes: list[Any] = getattr(part, "classes", None) or []
    names = [str(name).split(" - ")[0] for name in classes]
    numbers: list[int] = np.asarray(targets).astype(int).tolist()
    return [
        (names[number] if number < len(names) else str(number)) if number >= 0 else None
        for number in numbers
    ]


def _row(images: npt.NDArray[np.uint8], row: int) -> npt.NDArray[np.uint8]:
    return images[row]

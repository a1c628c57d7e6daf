"""``torchvision:CIFAR10`` and other torchvision data sets with their images in one array."""

import importlib
import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dgaal_cli.data.sources.base import BlockRow, Rows, RowSource
from dgaal_cli.errors import InputDataError, MissingExtraError

PREFIX = "torchvision:"
_Splits = Mapping[str, Mapping[str, object]]
_BY_TRAIN: _Splits = {"train": {"train": True}, "test": {"train": False}}
_BY_SPLIT: _Splits = {"train": {"split": "train"}, "test": {"split": "test"}}
SETS: Mapping[str, _Splits] = {
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


class TorchvisionSource(RowSource):
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
        self.spec = f"{PREFIX}{name}:{root}"
        self._name = f"{PREFIX}{name}"
        parts: list[Rows] = []
        self._stamp: dict[str, tuple[int, ...]] = {}
        for split, arguments in SETS[name].items():
            try:
                part = dataset(root=str(root), download=download, **arguments)
            except (RuntimeError, OSError, ValueError) as error:
                raise InputDataError(
                    f"{PREFIX}{name} is not in {root} ({str(error)[:120]}); "
                    f"add --download, or give its folder: {PREFIX}{name}:FOLDER"
                ) from None
            images = _pixels(part.data)
            self._stamp[split] = images.shape
            labels, reader = _label_texts(part), partial(BlockRow, images)
            parts.append(Rows(split=split, count=len(images), labels=labels, reader=reader))
        self._parts = parts

    def stamp(self) -> str:
        return repr(self._stamp)  # torchvision checks its files itself


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

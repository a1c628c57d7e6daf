"""What an exporter and the parity check need besides the module."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from exporters.manifest import Manifest, TensorInfo

AnyArray = NDArray[np.uint8] | NDArray[np.float32]

DEFAULT_TOLERANCE = 1e-4
"""Maximum absolute difference of a score, probability or feature from the eager model."""

PIXEL_TOLERANCE = 1.0
"""Rounding to the next gray level may go either way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportSpec:
    """The manifest to embed, example inputs, and the allowed differences of outputs."""

    manifest: Manifest
    """Its parity field is filled in after the measurement."""
    images: NDArray[np.uint8] | None = None
    """(M, H, W, C) images of the pool to compare on, M >= 1; None: computed images."""
    tolerances: Mapping[str, float] = field(default_factory=dict[str, float])
    """Output name -> maximum absolute difference, where it differs from the default."""

    def example(self, batch: int) -> dict[str, AnyArray]:
        """Return inputs for ``batch`` images; image i is the same for every batch size."""
        return {info.name: self._input(info, batch) for info in self.manifest.inputs}

    def tolerance(self, output: TensorInfo) -> float:
        """Return the maximum absolute difference allowed for ``output``."""
        default = PIXEL_TOLERANCE if output.dtype == "uint8" else DEFAULT_TOLERANCE
        return self.tolerances.get(output.name, default)

    def _input(self, info: TensorInfo, batch: int) -> AnyArray:
        lengths = tuple(int(side) for side in info.shape[1:])
        if info.dtype == "float32":
            return _factors((batch, *lengths))
        if self.images is not None:
            rows = np.arange(batch) % len(self.images)
            return np.ascontiguousarray(self.images[rows])
        return _pictures((batch, *lengths))


def _factors(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Values around 1, as the generator's noise layer expects them."""
    steps = np.arange(np.prod(shape), dtype=np.float64).reshape(shape)
    return (1.0 + 0.1 * np.sin(1.7 * steps)).astype(np.float32)


def _pictures(shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Return noise, ramps, black and white images: every pixel value occurs."""
    count, *sides = shape
    positions = np.arange(np.prod(sides), dtype=np.uint32).reshape(sides)
    pictures = np.empty(shape, dtype=np.uint8)
    for row in range(count):
        speckle = (positions + np.uint32(977 * row + 1)) * np.uint32(2654435761)
        kinds = (speckle >> np.uint32(24), positions + np.uint32(row))
        pictures[row] = kinds[row % 2] if row % 4 < 2 else 255 * (row % 2)
    return pictures

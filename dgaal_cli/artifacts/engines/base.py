"""Interface of all engines: arrays in, named arrays out."""

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from exporters.manifest import Manifest

Arrays = Mapping[str, NDArray[Any]]


class Engine(Protocol):
    """A loaded artifact, ready to run."""

    @property
    def manifest(self) -> Manifest:
        """Manifest of the artifact."""
        ...

    @property
    def device(self) -> str:
        """Device in use: ``"cpu"`` or ``"cuda:N"``; never ``"auto"``."""
        ...

    @property
    def calls(self) -> int:
        """Useful number of parallel calls of ``run``; 1 or more."""
        ...

    def run(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        """Run one batch.

        Args:
            inputs: Every input of the manifest, with its type and shape; all have the same N >= 1.

        Returns:
            Every output of the manifest by name; row i belongs to image i.

        Raises:
            ValueError: The inputs do not match the manifest.
        """
        ...


def writable(array: NDArray[Any]) -> NDArray[Any]:
    """Return the array, copied if it is read-only: torch warns about read-only arrays."""
    return np.require(array, requirements=["C", "W"])


def checked_inputs(manifest: Manifest, inputs: Arrays) -> dict[str, NDArray[Any]]:
    """Check the inputs and return them in the manifest's order, contiguous.

    Raises:
        ValueError: A name, type, shape or batch size does not match the manifest.
    """
    expected = [info.name for info in manifest.inputs]
    if sorted(inputs) != sorted(expected):
        raise ValueError(f"inputs are {sorted(inputs)}, the {manifest.role} takes {expected}")
    batch = len(inputs[expected[0]])
    checked: dict[str, NDArray[Any]] = {}
    for info in manifest.inputs:
        array = inputs[info.name]
        shape = (batch, *info.shape[1:])
        if batch < 1 or array.shape != shape or str(array.dtype) != info.dtype:
            raise ValueError(
                f"input {info.name!r} is {array.dtype} {array.shape}, "
                f"the {manifest.role} takes {info.dtype} {info.shape} with N >= 1"
            )
        checked[info.name] = np.ascontiguousarray(array)
    return checked


def named_outputs(manifest: Manifest, outputs: Any) -> dict[str, Any]:
    """Map the manifest's output names to the values that a module returned.

    Raises:
        ValueError: The numbers of outputs and names differ.
    """
    values: list[Any] = [*outputs] if isinstance(outputs, tuple | list) else [outputs]
    names = [info.name for info in manifest.outputs]
    if len(values) != len(names):
        raise ValueError(f"the model returned {len(values)} outputs, the manifest names {names}")
    return dict(zip(names, values, strict=True))

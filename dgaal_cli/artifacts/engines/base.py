"""What every engine offers: arrays in, named arrays out, whatever runs underneath."""

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
        """What the artifact says of itself."""
        ...

    @property
    def device(self) -> str:
        """Where it runs: ``"cpu"`` or ``"cuda:N"``; never ``"auto"``."""
        ...

    @property
    def calls(self) -> int:
        """How many threads may call ``run`` at once and gain by it; 1 or more."""
        ...

    def run(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        """Run one batch.

        Args:
            inputs: Every input of the manifest, with its type and shape; N >= 1 everywhere
                the same.

        Returns:
            Every output of the manifest by name, row i belonging to image i.

        Raises:
            ValueError: The inputs are not those of the manifest.
        """
        ...


def writable(array: NDArray[Any]) -> NDArray[Any]:
    """Return the array, copied if it is read-only: torch warns of tensors over mapped files."""
    return np.require(array, requirements=["C", "W"])


def checked_inputs(manifest: Manifest, inputs: Arrays) -> dict[str, NDArray[Any]]:
    """Return the inputs in the manifest's order, contiguous, or refuse them.

    Raises:
        ValueError: A name, type, shape or batch size is not as the manifest says.
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
    """Put the manifest's names on what a module returned in order.

    Raises:
        ValueError: There are more or fewer outputs than names.
    """
    values: list[Any] = [*outputs] if isinstance(outputs, tuple | list) else [outputs]
    names = [info.name for info in manifest.outputs]
    if len(values) != len(names):
        raise ValueError(f"the model returned {len(values)} outputs, the manifest names {names}")
    return dict(zip(names, values, strict=True))

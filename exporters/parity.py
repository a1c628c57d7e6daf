"""The parity check: compare an exported artifact with the eager model.

It receives two callables, so that it does not depend on the engine that it tests.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exporters.manifest import TensorInfo
from exporters.spec import ExportSpec

Run = Callable[[Mapping[str, NDArray[Any]]], Mapping[str, NDArray[Any]]]

BATCH_SIZES = (1, 2, 7)


class ParityError(ValueError):
    """The artifact computes other outputs than the eager model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParityReport:
    """Maximum absolute differences, all within tolerance."""

    differences: dict[str, dict[str, float]]
    """Batch size -> output -> maximum absolute difference."""

    @property
    def largest(self) -> float:
        """Maximum of all differences."""
        return max(value for row in self.differences.values() for value in row.values())


def measure(
    reference: Run,
    candidate: Run,
    spec: ExportSpec,
    *,
    batch_sizes: Sequence[int] = BATCH_SIZES,
) -> ParityReport:
    """Run both callables on the same images and compare every output.

    Raises:
        ParityError: An output is missing, has another shape or type, is not finite, or differs
            by more than its tolerance; names output, batch size and difference.
    """
    differences: dict[str, dict[str, float]] = {}
    for batch in batch_sizes:
        inputs = spec.example(batch)
        expected, got = reference(inputs), candidate(inputs)
        row = differences[str(batch)] = {}
        for output in spec.manifest.outputs:
            difference = _difference(output, expected, got, batch)
            limit = spec.tolerance(output)
            if not difference <= limit:
                raise ParityError(
                    f"output {output.name!r} differs by {difference:.3g} at batch size {batch}, "
                    f"the limit is {limit:.3g}"
                )
            row[output.name] = difference
    return ParityReport(differences=differences)


def _difference(
    output: TensorInfo,
    expected: Mapping[str, NDArray[Any]],
    got: Mapping[str, NDArray[Any]],
    batch: int,
) -> float:
    where = f"output {output.name!r} at batch size {batch}"
    if output.name not in expected or output.name not in got:
        raise ParityError(f"{where} is missing")
    left, right = expected[output.name], got[output.name]
    promised = (batch, *output.shape[1:])
    if left.shape != promised or right.shape != promised:
        raise ParityError(
            f"{where} has shape {right.shape}, the eager model {left.shape}, expected {promised}"
        )
    if str(left.dtype) != output.dtype or str(right.dtype) != output.dtype:
        raise ParityError(
            f"{where} is {right.dtype}, the eager model's {left.dtype}, expected {output.dtype}"
        )
    if not (np.isfinite(left).all() and np.isfinite(right).all()):
        raise ParityError(f"{where} is not finite everywhere")
    return float(np.abs(left.astype(np.float64) - right.astype(np.float64)).max())

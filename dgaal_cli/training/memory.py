"""Steps that do not fit into memory, and the batch that would."""

from collections.abc import Callable

import torch

from dgaal_cli.errors import UsageError

CPU_SENTENCES = ("can't allocate memory", "not enough memory")
"""How torch says on a CPU what it has a class for on a GPU."""


class StepTooLargeError(UsageError):
    """A phase's step needs more memory than the device has left."""

    def __init__(self, phase: str, title: str, batch_key: str) -> None:
        super().__init__(f"'{title}' does not fit into memory; lower {batch_key or 'its batch'}")
        self.phase = phase
        self.title = title
        self.batch_key = batch_key


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an error of a step says that memory is used up."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in CPU_SENTENCES)


def largest_fitting(batch: int, attempt: Callable[[int], None]) -> int:
    """Halve a batch that did not fit until ``attempt`` succeeds.

    Args:
        batch: What was asked.
        attempt: Takes one step with so many images; raises where they do not fit.

    Returns:
        The first half, quarter, ... that fits; 0 if not even one image does.
    """
    while batch := batch // 2:
        try:
            attempt(batch)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
        else:
            return batch
    return 0

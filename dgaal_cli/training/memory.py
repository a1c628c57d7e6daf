"""Steps that do not fit into memory, and the batch that fits."""

from collections.abc import Callable, Generator
from contextlib import contextmanager

import torch

from dgaal_cli.errors import UsageError

MESSAGES = (
    "can't allocate memory",
    "not enough memory",
    "out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED",
)
"""Messages for used-up memory of the CPU, the driver and its libraries."""
GIB = 1024**3


class StepTooLargeError(UsageError):
    """A step needs more memory than the device has free."""

    def __init__(self, phase: str, title: str, batch_key: str) -> None:
        super().__init__(f"'{title}' does not fit into memory; lower {batch_key or 'its batch'}")
        self.phase = phase
        self.title = title
        self.batch_key = batch_key


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error reports that memory is used up."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in MESSAGES)


@contextmanager
def explain_out_of_memory(what: str, device: torch.device, *, advice: str) -> Generator[None]:
    """Turn an out-of-memory error in the block into a ``UsageError`` with this advice.

    Raises:
        UsageError: The work does not fit into memory.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise UsageError(f"{what} does not fit on {describe_device(device)}; {advice}") from error


def describe_device(device: torch.device) -> str:
    """Return the device's name and, if known, its total memory."""
    if device.type != "cuda":
        return str(device)
    return f"{device} with {torch.cuda.get_device_properties(device).total_memory / GIB:.1f} GiB"


def max_fitting_batch(batch: int, attempt: Callable[[int], None]) -> int:
    """Halve a batch that did not fit until ``attempt``, which takes one step, succeeds.

    Returns:
        The first half, quarter, ... that fits; 0 if not even one image fits.
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

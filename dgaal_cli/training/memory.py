"""Steps that do not fit into memory, and the batch that would."""

from collections.abc import Callable, Generator
from contextlib import contextmanager

import torch

from dgaal_cli.errors import UsageError

SENTENCES = (
    "can't allocate memory",
    "not enough memory",
    "out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED",
)
"""How a CPU, the driver and its libraries say what torch's allocator of a GPU has a class for."""
GIB = 1024**3


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
    return isinstance(error, RuntimeError) and any(text in str(error) for text in SENTENCES)


@contextmanager
def fitting(what: str, device: torch.device, *, advice: str) -> Generator[None]:
    """Say in a sentence where a block needs more memory than there is.

    Args:
        what: Does not fit, in words.
        device: Where the block works.
        advice: What to do.

    Raises:
        UsageError: It does not fit.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise UsageError(f"{what} does not fit on {size_of(device)}; {advice}") from error


def size_of(device: torch.device) -> str:
    """Return the device's name with how much memory it has, where that is known."""
    if device.type != "cuda":
        return str(device)
    return f"{device} with {torch.cuda.get_device_properties(device).total_memory / GIB:.1f} GiB"


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

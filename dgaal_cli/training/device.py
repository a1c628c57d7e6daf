"""Which processor trains, and how many threads it may use."""

import os

import torch

from dgaal_cli.errors import UsageError
from dgaal_cli.harmless import show


def pick_device(name: str) -> torch.device:
    """Turn ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps`` into a device.

    Raises:
        UsageError: The name is unknown, or this host lacks the device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind, _, number = name.partition(":")
    if kind not in ("cpu", "cuda", "mps") or (number and not (kind == "cuda" and number.isdigit())):
        raise UsageError(f"unknown device {show(name)!r}; use auto, cpu, cuda, cuda:N or mps")
    if kind == "cuda" and int(number or 0) >= torch.cuda.device_count():
        found = torch.cuda.device_count()
        raise UsageError(
            f"asked for {name}, this host offers {found} CUDA device{'' if found == 1 else 's'} "
            "to PyTorch; use --device auto or see 'dgaal doctor'"
        )
    if kind == "mps" and not torch.backends.mps.is_available():
        raise UsageError("asked for mps, this host has none; use --device auto")
    return torch.device(name)


def use_threads(count: int) -> int:
    """Limit CPU threads to ``count``, or to what this process may use where it is 0."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    threads = count or available or 1
    torch.set_num_threads(threads)
    return threads

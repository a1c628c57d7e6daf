"""Which processor trains, and how many threads it may use."""

import contextlib
import os
import platform
from pathlib import Path

import torch

from dgaal_cli.config.schema import Config
from dgaal_cli.errors import UsageError

THREAD_WORK = 2**23
"""Images x pixels x squared channels of a step that keep a thread busy."""


def pick_device(name: str) -> torch.device:
    """Turn ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps`` into a device.

    Raises:
        UsageError: The name is unknown, or this host lacks the device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind, _, number = name.partition(":")
    if kind not in ("cpu", "cuda", "mps") or (number and not (kind == "cuda" and number.isdigit())):
        raise UsageError(f"unknown device {name!r}; use auto, cpu, cuda, cuda:N or mps")
    if kind == "cuda" and int(number or 0) >= torch.cuda.device_count():
        found = torch.cuda.device_count()
        raise UsageError(
            f"asked for {name}, this host offers {found} CUDA device{'' if found == 1 else 's'} "
            "to PyTorch; use --device auto or see 'dgaal doctor'"
        )
    if kind == "mps" and not torch.backends.mps.is_available():
        raise UsageError("asked for mps, this host has none; use --device auto")
    return torch.device(name)


def useful_threads(config: Config) -> int:
    """Return how many CPU threads the configured networks are large enough for, 1 or more.

    Every operation of a step is split among the threads, which then wait for each other: 8 x 8
    digits are slower with two threads than with one (``benchmarks/bench_threads.py``). The
    work of T's step stands for that of all networks, which a preset sizes alike.
    """
    side = config.pool.image_size or config.network.max_image_size
    work = config.classifier.batch * side**2 * config.network.classifier_width**2
    return max(1, work // THREAD_WORK)


def use_threads(count: int, *, useful: int | None = None, processes: int = 1) -> int:
    """Limit CPU threads to ``count``, and return how many they are.

    Args:
        count: As many; 0 takes the ``useful`` ones of those that ``processes`` on this host leave
            each other.
        useful: More would only wait for each other; None: no number is too large.
        processes: That train side by side here.
    """
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    threads = count or max(1, (available or 1) // processes)
    if not count and useful is not None:
        threads = min(threads, useful)
    torch.set_num_threads(threads)
    return threads


def processor_name() -> str:
    """Name the CPU: Linux knows its model, other systems at least its architecture."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def to_device(values: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Send a tensor from the CPU to the device; towards a GPU nobody waits for it.

    A copy from pageable memory would make the host wait, one from pinned memory does not.
    """
    if device.type == "cuda" and not values.is_cuda:
        return values.pin_memory().to(device, non_blocking=True)
    return values.to(device)


def free_bytes(device: torch.device) -> int:
    """Estimate the memory that is free on the device now; on a CPU, what Linux calls available."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    try:
        lines = Path("/proc/meminfo").read_text("ascii").splitlines()
        return (
            next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable")) * 1024
        )
    except (OSError, ValueError, StopIteration):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2

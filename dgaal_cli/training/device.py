"""Device and CPU threads of a training."""

import contextlib
import os
import platform
from pathlib import Path

import torch

from dgaal_cli.config.schema import Config
from dgaal_cli.data.decoders.launch import usable_cpus
from dgaal_cli.errors import UsageError

THREAD_WORK = 2**23
"""Work of a step, as images x pixels x squared channels, that keeps one thread busy."""


def pick_device(name: str) -> torch.device:
    """Turn ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps`` into a device.

    Raises:
        UsageError: The name is unknown, or this host does not have the device.
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
    """Return how many CPU threads speed up the configured networks, 1 or more.

    Threads wait for each other after every operation: 8 x 8 digits are slower with two threads than
    with one (``benchmarks/bench_threads.py``). The estimate uses T's step, since a preset scales
    all networks alike.
    """
    side = config.pool.image_size or config.network.max_image_size
    work = config.classifier.batch * side**2 * config.network.classifier_width**2
    return max(1, work // THREAD_WORK)


def use_threads(count: int, *, useful: int | None = None, processes: int = 1) -> int:
    """Set the number of CPU threads and return it.

    Args:
        count: Number of threads; 0 divides the host's threads among ``processes``, at most
            ``useful`` each.
        useful: Number above which threads do not help; None sets no limit.
        processes: Processes that train on this host.
    """
    threads = count or max(1, usable_cpus() // processes)
    if not count and useful is not None:
        threads = min(threads, useful)
    torch.set_num_threads(threads)
    return threads


def processor_name() -> str:
    """Return the CPU's model on Linux, else at least its architecture."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def to_device(values: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Copy a CPU tensor to the device; a copy to a GPU is asynchronous, from pinned memory."""
    if device.type == "cuda" and not values.is_cuda:
        return values.pin_memory().to(device, non_blocking=True)
    return values.to(device)


def free_bytes(device: torch.device) -> int:
    """Estimate the free memory of the device; on a CPU, Linux's ``MemAvailable``."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    try:
        lines = Path("/proc/meminfo").read_text("ascii").splitlines()
        return (
            next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable")) * 1024
        )
    except (OSError, ValueError, StopIteration):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2

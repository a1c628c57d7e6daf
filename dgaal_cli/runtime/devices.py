"""Devices of engines: parse the requested device and count available devices."""

import ctypes
import sys
from dataclasses import dataclass

from dgaal_cli.errors import UsageError


@dataclass(frozen=True, slots=True)
class Device:
    """``auto``, ``cpu`` or one CUDA device."""

    kind: str
    index: int = 0

    def __str__(self) -> str:
        return f"cuda:{self.index}" if self.kind == "cuda" else self.kind


CPU = Device("cpu")


def parse_device(text: str) -> Device:
    """Parse ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.

    Raises:
        UsageError: The text is none of these.
    """
    kind, colon, index = text.partition(":")
    if not colon and kind in ("auto", "cpu", "cuda"):
        return Device(kind)
    if kind == "cuda" and index.isascii() and index.isdigit() and len(index) <= 3:
        return Device(kind, int(index))
    raise UsageError(f"device {text!r} is unknown to the engines; use auto, cpu, cuda or cuda:N")


def count_cuda_devices() -> int:
    """Return the driver's number of CUDA devices, without torch or a runtime and without output.

    Hosts without a GPU do not have the driver library; a runtime would then print errors from C++.
    """
    name = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
    try:
        driver = ctypes.CDLL(name)
        count = ctypes.c_int(0)
        if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
            return 0
    except (OSError, AttributeError):
        return 0
    return count.value

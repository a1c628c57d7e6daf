"""Number formats of training: float32, or bfloat16 on hardware that supports it."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from dgaal_cli.errors import UsageError

Precision = Literal["fp32", "bf16"]
Autocast = Callable[[], AbstractContextManager[object]]

CPU_INFO = Path("/proc/cpuinfo")
CPU_FLAGS = frozenset({"avx512_bf16", "amx_bf16", "bf16"})
"""CPU features as Linux names them; ``bf16`` is on ARM."""


def pick_precision(requested: str, device: torch.device) -> Precision:
    """Turn ``auto``, ``fp32`` or ``bf16`` into a format that ``device`` has.

    ``auto`` is bf16 on a GPU with bf16 and fp32 elsewhere: on a CPU, reproducible bits are worth
    more than speed.

    Raises:
        UsageError: bf16 was requested and this hardware does not have it.
    """
    if requested == "fp32" or (requested == "auto" and device.type != "cuda"):
        return "fp32"
    if has_bf16(device):
        return "bf16"
    if requested == "auto":
        return "fp32"
    required = {"cpu": "a CPU with avx512_bf16 or amx_bf16", "cuda": "compute capability 8.0"}
    raise UsageError(
        f"asked for bf16, but {device} does not multiply in it (that takes "
        f"{required.get(device.type, 'a CPU or an NVIDIA GPU')}); use --precision fp32"
    )


def has_bf16(device: torch.device) -> bool:
    """Return whether the hardware multiplies bfloat16; software emulation does not count."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type != "cpu":
        return False
    try:
        text = CPU_INFO.read_text("utf-8", errors="replace")
    except OSError:
        return False
    flags = [line.partition(":") for line in text.splitlines()]
    return any(
        CPU_FLAGS & set(values.split())
        for name, _, values in flags
        if name.strip() in ("flags", "Features")
    )


def autocast(device: torch.device, precision: Precision) -> AbstractContextManager[object]:
    """Run convolutions and matrix products of the block in ``precision``; weights stay float32."""
    if precision == "fp32":
        return nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)


def widen(values: Tensor) -> Tensor:
    """Return 16-bit values as float32, others unchanged; losses and heads need these."""
    return values.float() if values.dtype in (torch.bfloat16, torch.float16) else values

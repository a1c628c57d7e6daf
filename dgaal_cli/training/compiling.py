"""torch.compile for networks, if configured."""

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from dgaal_cli.errors import UsageError


def compile_networks(
    modules: Mapping[str, nn.Module],
    mode: str,
    device: torch.device,
    *,
    backend: str | Callable[..., Any] = "inductor",
) -> bool:
    """Let torch compile each network's forward and backward pass; return whether it was done.

    A network whose parts are called separately lists them in ``called_parts``: only ``forward`` of
    a compiled module runs compiled code.

    Compilation is in place, at a network's first call: names of weights stay, so compiled and plain
    networks load the same checkpoints. Shapes are static within a phase. Networks of one form are
    compiled once in a process, so the rounds of a simulation compile once. Later processes trace
    the networks again and read torch's code cache: in the folder for temporary files, or in
    ``TORCHINDUCTOR_CACHE_DIR``. The workspace holds no compiled code, since a received workspace
    could then run code. CUDA graphs are not used: a game calls one network several times before a
    backward pass, and a replay would overwrite the earlier outputs.

    Args:
        modules: Networks by name, already on the device.
        mode: ``on``; ``auto``, which means on a GPU; or ``off``.
        device: Device of the networks.
        backend: Compiler of torch; tests use one that only counts.
    """
    if mode == "off" or (mode == "auto" and device.type != "cuda"):
        return False
    for module in modules.values():
        names: tuple[str, ...] = getattr(module, "called_parts", ("",))
        for name in names:
            module.get_submodule(name).compile(dynamic=False, backend=backend)
    return True


@contextmanager
def explain_compiler_errors() -> Generator[None]:
    """Turn a compiler failure in the block into a ``UsageError``.

    Raises:
        UsageError: torch.compile failed; the networks would run without it.
    """
    try:
        yield
    except RuntimeError as error:
        if not type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):
            raise
        cause = " ".join(str(error).splitlines()[:2]).strip()
        raise UsageError(
            f"torch.compile does not work on this host ({cause}); train without it: "
            "--set compile=off --allow-inexact"
        ) from error

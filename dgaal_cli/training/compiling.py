"""Hands networks to torch.compile where the user asked for it."""

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from dgaal_cli.errors import UsageError


def compile_networks(
    modules: Mapping[str, nn.Module],
    asked: str,
    device: torch.device,
    *,
    backend: str | Callable[..., Any] = "inductor",
) -> bool:
    """Let torch compile each network's forward and backward pass; tells whether it was done.

    A network whose parts are called one by one names them in ``called_parts``: a method other than
    ``forward`` passes a compiled module by.

    Compilation happens in place, at a network's first call: names of weights stay, checkpoints fit
    both ways. Shapes are static within a phase. What was compiled once serves every network of the
    same form in this process, so the rounds of a simulation compile once. Later processes, such as
    the next ``dgaal train``, trace the networks again and take the code from torch's own cache: in
    the folder for temporary files, or where ``TORCHINDUCTOR_CACHE_DIR`` says if it shall outlive a
    restart. The workspace holds none of it, for whoever passes a workspace on could put code there.
    CUDA graphs are left out: a game calls one network several times before a backward pass, whose
    outputs a replay would overwrite.

    Args:
        modules: By name, already on the device.
        asked: ``on``; ``auto``, which means on a GPU; or ``off``.
        device: Where they run.
        backend: Torch's compiler, or one that only counts, for tests.
    """
    if asked == "off" or (asked == "auto" and device.type != "cuda"):
        return False
    for module in modules.values():
        names: tuple[str, ...] = getattr(module, "called_parts", ("",))
        for name in names:
            module.get_submodule(name).compile(dynamic=False, backend=backend)
    return True


@contextmanager
def explaining_compiler() -> Generator[None]:
    """Turn a failure of torch's compiler in the block into a sentence.

    Raises:
        UsageError: It failed; the networks would run without it.
    """
    try:
        yield
    except RuntimeError as error:
        if not type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):
            raise
        said = " ".join(str(error).splitlines()[:2]).strip()
        raise UsageError(
            f"torch.compile does not work on this host ({said}); go on without it: "
            "--set compile=off --allow-inexact"
        ) from error

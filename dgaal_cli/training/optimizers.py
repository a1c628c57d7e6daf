"""Optimizers in their fused form: one kernel updates all parameters of a network; their step."""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter

FUSED_ON = ("cpu", "cuda")


def adam(
    parameters: Iterable[Parameter],
    *,
    lr: float,
    betas: tuple[float, float] = (0.9, 0.999),
    weight_decay: float = 0.0,
) -> torch.optim.Adam:
    """Return Adam for parameters that are on their device already."""
    own = list(parameters)
    return torch.optim.Adam(
        own, lr=lr, betas=betas, weight_decay=weight_decay, fused=_can_fuse(own)
    )


def nesterov(groups: Sequence[dict[str, Any]], *, lr: float, momentum: float) -> torch.optim.SGD:
    """Return SGD with Nesterov momentum over parameter groups, already on their device."""
    own: list[Parameter] = [p for group in groups for p in group["params"]]
    return torch.optim.SGD(
        list(groups), lr=lr, momentum=momentum, nesterov=True, fused=_can_fuse(own)
    )


def take_step(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    """Take one step down the gradient of ``loss``."""
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()


def _can_fuse(parameters: Sequence[Parameter]) -> bool:
    return all(p.device.type in FUSED_ON for p in parameters)

"""A method at the start of a round, the same way for a workspace and for a simulation."""

from collections.abc import Mapping

import torch
from torch import Tensor

from dgaal_cli.config.schema import Config, Init
from dgaal_cli.methods.base import Method, TaskShape
from dgaal_cli.methods.registry import load_method
from dgaal_cli.training import checkpoint
from dgaal_cli.training.seeding import initializing

SHRINK, PERTURB = 0.4, 0.1
"""Weights of the old and of fresh parameters (Ash & Adams 2020, section 4)."""


def fresh_method(config: Config, shape: TaskShape, *, number: int) -> Method:
    """Build the configured method as round ``number`` begins it.

    T starts from the same weights for every method of a seed and round, so that only queries
    differ.

    Raises:
        ConfigError: There is no method of that name.
    """
    with initializing(config.seed, number, "networks"):
        method = load_method(config, shape)
    with initializing(config.seed, number, "classifier"):
        method.classifier.initialize()
    return method


def origins_of(method: Method, config: Config) -> dict[str, Init]:
    """Say of each network how it begins a round that has one before it.

    Networks that a method carries on go on; the task model and the others do what the configuration
    says, which is to begin anew unless someone asked for something else.
    """
    origins: dict[str, Init] = {}
    for name in method.modules:
        own = config.classifier.init if name == "classifier" else config.network.init
        origins[name] = "warm" if name in method.carried else own
        if name in method.renewed:
            origins[name] = "scratch"
    return origins


def begin_with(method: Method, tensors: Mapping[str, Tensor], origins: Mapping[str, Init]) -> None:
    """Give networks the weights that they begin a round with; they are freshly built.

    Args:
        method: Of the round that begins.
        tensors: ``checkpoint.module_tensors`` of the round before.
        origins: By name of the network; those left out stay as they are.

    Raises:
        CheckpointError: Names or shapes do not fit.
    """
    used = {name: method.modules[name] for name, how in origins.items() if how != "scratch"}
    new = {
        name: {key: value.detach().clone() for key, value in module.named_parameters()}
        for name, module in used.items()
        if origins[name] == "shrink_perturb"
    }
    checkpoint.restore_modules(used, tensors)
    with torch.no_grad():
        for name, parameters in new.items():
            for key, value in used[name].named_parameters():
                value.mul_(SHRINK).add_(parameters[key], alpha=PERTURB)

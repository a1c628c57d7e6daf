"""Build a method at the start of a round, in a workspace or in a simulation."""

from collections.abc import Mapping

import torch
from torch import Tensor

from dgaal_cli.config.schema import Config, Init
from dgaal_cli.methods.base import Method, TaskShape
from dgaal_cli.methods.registry import load_method
from dgaal_cli.training import checkpoint
from dgaal_cli.training.seeding import initializing

SHRINK, PERTURB = 0.4, 0.1
"""Factors of the old and of the fresh parameters (Ash & Adams 2020, section 4)."""


def fresh_method(config: Config, shape: TaskShape, *, number: int) -> Method:
    """Build the configured method with the initial weights of round ``number``.

    For one seed and round, T has the same initial weights in every method, so that only the queries
    differ.

    Raises:
        ConfigError: The method does not exist.
    """
    with initializing(config.seed, number, "networks"):
        method = load_method(config, shape)
    with initializing(config.seed, number, "classifier"):
        method.classifier.initialize()
    return method


def origins_of(method: Method, config: Config) -> dict[str, Init]:
    """Return how each network starts a round after the first.

    Networks in ``method.carried`` keep their weights. The task model and the others follow the
    configuration, whose default is to restart.
    """
    origins: dict[str, Init] = {}
    for name in method.modules:
        own = config.classifier.init if name == "classifier" else config.network.init
        origins[name] = "warm" if name in method.carried else own
        if name in method.renewed:
            origins[name] = "scratch"
    return origins


def set_start_weights(
    method: Method, tensors: Mapping[str, Tensor], origins: Mapping[str, Init]
) -> None:
    """Set the weights with which the networks of a new method with fresh weights start a round.

    ``tensors`` are those of ``checkpoint.module_tensors`` in the previous round. Networks that
    ``origins`` does not name do not change.

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

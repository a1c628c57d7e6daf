"""A method at the start of a round, the same way for a workspace and for a simulation."""

from collections.abc import Mapping

from torch import Tensor

from dgaal_cli.config.schema import Config
from dgaal_cli.methods.base import Method, TaskShape
from dgaal_cli.methods.registry import load_method
from dgaal_cli.training import checkpoint
from dgaal_cli.training.seeding import initializing


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


def carry_over(method: Method, tensors: Mapping[str, Tensor]) -> None:
    """Give networks that learn from round to round the weights of the round before.

    Args:
        method: Of the round that begins.
        tensors: ``checkpoint.module_tensors`` of the round before.

    Raises:
        CheckpointError: Names or shapes do not fit.
    """
    checkpoint.restore_modules({name: method.modules[name] for name in method.carried}, tensors)

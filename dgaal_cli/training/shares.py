"""What one of several training processes takes from each batch."""

from dataclasses import replace
from typing import Any

from dgaal_cli.config.schema import Config
from dgaal_cli.errors import ConfigError

SECTIONS = ("pretrain", "coevolve", "classifier", "vaal", "gaal")


def share_of(config: Config, *, world: int) -> Config:
    """Divide batches and passes by ``world``, so that all processes together do what one would.

    Each process sees its part of a batch, in as many steps; learning rates stay as they are.

    Raises:
        ConfigError: A batch cannot be divided equally.
    """
    changed: dict[str, Any] = {}
    for name in SECTIONS if world > 1 else ():
        section = getattr(config, name)
        if section.batch % world:
            raise ConfigError(
                f"'{name}.batch' is {section.batch}, which {world} processes cannot share equally; "
                "make it a multiple, or start fewer"
            )
        own: dict[str, Any] = {"batch": section.batch // world}
        if hasattr(section, "epochs"):
            own["epochs"] = section.epochs / world
        changed[name] = replace(section, **own)
    return replace(config, **changed)

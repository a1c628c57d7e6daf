"""Read configurations and check what depends on method and encoder; every caller uses this."""

import dataclasses
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from dgaal_cli.config.edit import set_values
from dgaal_cli.config.load import build_config, load_config
from dgaal_cli.config.schema import Config
from dgaal_cli.data.presence import is_device
from dgaal_cli.encoders.registry import check_encoder, located
from dgaal_cli.errors import ConfigError
from dgaal_cli.methods.registry import check_method
from dgaal_cli.store.open import store_location
from dgaal_cli.workspace import Workspace


def configuration(workspace: Workspace, *assignments: str) -> Config:
    """Read a workspace's configuration as the command line does; for notebooks and scripts.

    Args:
        workspace: Workspace to read.
        *assignments: ``key.path=value``, as after ``--set``.

    Raises:
        ConfigError: A key or value is wrong, or does not fit the method.
    """
    path = workspace.config_path
    return read_configuration(path, environment=os.environ, assignments=assignments)


def read_configuration(
    path: Path, *, environment: Mapping[str, str], assignments: Iterable[str] = ()
) -> Config:
    """Read a file as ``config.load.load_config`` does, and check it against method and pool.

    The path of an encoder becomes absolute; a relative one is relative to the file's folder.
    """
    config = checked(load_config(path, environment=environment, assignments=assignments))
    for key, spec in (("source", config.pool.source), ("test", config.pool.test)):
        if is_device(path.parent, spec):
            raise ConfigError(f"'pool.{key}' is {spec}, which is not a file or folder of images")
    return dataclasses.replace(config, encoder=located(config.encoder, path.parent))


def build_configuration(tree: dict[str, Any]) -> Config:
    """Build a configuration as ``config.load.build_config`` does; check it against its method."""
    return checked(build_config(tree))


def change_configuration(path: Path, values: Mapping[str, str | int | bool]) -> Config:
    """Set keys as ``config.edit.set_values`` does, unless the result does not fit its method."""
    return set_values(path, values, check=checked)


def checked(config: Config) -> Config:
    """Return a configuration whose method, encoder and kind of store exist and support it.

    Raises:
        ConfigError: Method or encoder does not exist, or a setting does not work with it.
        UsageError: The kind of store does not exist.
    """
    check_method(config)
    check_encoder(config.encoder, image_size=config.pool.image_size)
    if config.store:
        store_location(config.store)
    return config

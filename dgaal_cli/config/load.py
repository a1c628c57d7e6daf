"""Build one ``Config`` from files, environment and command line.

Precedence: command line, ``DGAAL_*`` environment, ``dgaal.toml``, preset, defaults. An unknown key
is an error that names the nearest known key; msgspec alone ignores unknown keys of dataclasses.

What depends on the method is checked in ``methods.configuration``, through which every caller
reads a configuration.
"""

import dataclasses
import difflib
import typing
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import cast

from dgaal_cli.config.presets import PRESETS, Tree, merge_overrides, read_preset
from dgaal_cli.config.ranges import convert
from dgaal_cli.config.schema import Config
from dgaal_cli.config.toml_file import parse_assignment, read_toml
from dgaal_cli.errors import ConfigError, WorkspaceError
from dgaal_cli.escaping import show

PRESET_ALIASES = {"paper": "cifar10-paper"}
"""Names that presets had in older workspaces and simulations."""
SCHEMA_VERSION = 1
_PREFIX = "DGAAL_"


def load_config(
    path: Path, *, environment: Mapping[str, str], assignments: Iterable[str] = ()
) -> Config:
    """Read a workspace's ``dgaal.toml`` and merge environment and ``--set`` values over it.

    Args:
        path: File to read.
        environment: Usually ``os.environ``; keys ``DGAAL_SEED``, ``DGAAL_QUERY__SIZE``.
        assignments: ``key.path=value`` of the command line, value in TOML syntax or bare text.

    Raises:
        ConfigError: A key or value is wrong.
        WorkspaceError: A newer dgaal wrote the file.
    """
    tree = read_toml(path)
    version = tree.get("version", SCHEMA_VERSION)
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise WorkspaceError(
            f"{path.name} has version {version}, this dgaal knows up to {SCHEMA_VERSION}; "
            "upgrade dgaal to work here"
        )
    _check_keys(tree, Config, where=show(path.name))
    store = tree.get("store")
    variables = [  # DGAAL_QUERY__SIZE=50 -> query.size=50; an unknown name is an error
        f"{name.removeprefix(_PREFIX).lower().replace('__', '.')}={value}"
        for name, value in sorted(environment.items())
        if name.startswith(_PREFIX)
    ]
    for assignment in (*variables, *assignments):
        _assign(tree, assignment)
    if tree.get("store") != store:
        raise ConfigError(f"'store' can only be set in {path.name}, for all commands alike")
    return build_config(tree)


def build_config(tree: Tree) -> Config:
    """Build a ``Config`` from the user's values; its preset provides the others.

    Raises:
        ConfigError: A key or value is wrong.
    """
    _check_keys(tree, Config, where="the configuration")
    preset = tree.get("preset", "small")
    preset = PRESET_ALIASES.get(preset, preset) if isinstance(preset, str) else preset
    config = convert(merge_overrides(read_preset(preset, PRESETS), tree), Config)
    task = config.classifier
    if task.architecture == "linear-svm" and task.semi_supervised == "fixmatch":
        raise ConfigError(
            "'classifier.semi_supervised' is fixmatch, but a linear-svm learns from labels alone; "
            "use none, or another architecture"
        )
    return config


def _assign(tree: Tree, assignment: str) -> None:
    keys, value = parse_assignment(assignment)
    branch: Tree = {}
    node = branch
    for key in keys[:-1]:
        node[key] = {}
        node = node[key]
    node[keys[-1]] = value
    _check_keys(branch, Config, where=f"'{show(assignment)}'")
    merged = merge_overrides(tree, branch)
    tree.clear()
    tree.update(merged)


def _check_keys(tree: Tree, schema: type, *, where: str, path: str = "") -> None:
    hints = typing.get_type_hints(schema)
    for key, value in tree.items():
        if key not in hints:
            near = difflib.get_close_matches(key, hints, n=1, cutoff=0.5)
            hint = f"did you mean '{path}{near[0]}'?" if near else f"known: {', '.join(hints)}"
            raise ConfigError(f"unknown key '{path + key}' in {where}; {hint}")
        inner = hints[key]
        if dataclasses.is_dataclass(inner) and isinstance(inner, type):
            if not isinstance(value, dict):
                raise ConfigError(f"'{path}{key}' in {where} is a table; write [{path}{key}]")
            _check_keys(cast("Tree", value), inner, where=where, path=f"{path}{key}.")

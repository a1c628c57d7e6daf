"""Presets: ``.toml`` files of values, each of which may name a base that provides the others."""

import difflib
import tomllib
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any, cast

from dgaal_cli.errors import ConfigError
from dgaal_cli.escaping import show

PRESETS = resources.files(__name__)
"""Presets of workspaces."""
_SUFFIX = ".toml"

Tree = dict[str, Any]


def preset_names(folder: Traversable) -> list[str]:
    """List the presets in a folder."""
    names = (f.name for f in folder.iterdir())
    return sorted(name.removesuffix(_SUFFIX) for name in names if name.endswith(_SUFFIX))


def read_preset(name: str, folder: Traversable) -> Tree:
    """Read a preset and merge it over its base, and that over its own.

    Raises:
        ConfigError: The preset or a base does not exist, or a base leads back to its own preset.
    """
    tree, chain = _read(name, folder), [name]
    while (base := tree.pop("base", None)) is not None:
        if base in chain:
            chain = [*chain, base]
            raise ConfigError(f"preset with a circular base: {' -> '.join(chain)}")
        tree = merge_overrides(_read(base, folder, f"base of preset '{show(chain[-1])}':"), tree)
        chain.append(base)
    return tree


def merge_overrides(tree: Tree, overrides: Tree) -> Tree:
    """Return ``tree`` with the values of ``overrides``; tables are merged key by key.

    An inner table that names a ``preset`` replaces the one in ``tree``: values chosen for one
    preset do not fit another.
    """
    merged = dict(tree)
    for key, value in overrides.items():
        old = merged.get(key)
        if isinstance(old, dict) and isinstance(value, dict) and "preset" not in value:
            value = merge_overrides(cast("Tree", old), cast("Tree", value))  # noqa: PLW2901
        merged[key] = value
    return merged


def _read(name: Any, folder: Traversable, place: str = "preset") -> Tree:
    names = preset_names(folder)
    if name not in names:
        near = difflib.get_close_matches(str(name), names, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"choose one of {', '.join(names)}"
        raise ConfigError(f"unknown {place} {name!r}; {hint}")
    return tomllib.loads((folder / f"{name}{_SUFFIX}").read_text("utf-8"))

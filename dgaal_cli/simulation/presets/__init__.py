"""Simulations that repeat published experiments, one ``.toml`` each."""

import difflib
import tomllib
from importlib import resources
from pathlib import Path

import msgspec

from dgaal_cli.errors import ConfigError
from dgaal_cli.escaping import show
from dgaal_cli.simulation.noise import with_absolute_path
from dgaal_cli.simulation.plan import Plan

_SUFFIX = ".toml"


def simulation_presets() -> list[str]:
    """Return the names, each ``-small`` one after the experiment that it shrinks."""
    folder = resources.files(__name__)
    names = [f.name.removesuffix(_SUFFIX) for f in folder.iterdir() if f.name.endswith(_SUFFIX)]
    return sorted(names)


def load_preset(name: str, *, data: Path | None = None) -> Plan:
    """Read one preset.

    Args:
        name: Of the preset.
        data: Folder that holds its files; None leaves them relative.

    Raises:
        ConfigError: There is none of that name.
    """
    names = simulation_presets()
    if name not in names:
        near = difflib.get_close_matches(name, names, n=1)
        hint = f"did you mean '{near[0]}'?" if near else "see --list-presets"
        raise ConfigError(f"unknown preset '{show(name)}'; {hint}")
    text = (resources.files(__name__) / f"{name}{_SUFFIX}").read_text("utf-8")
    plan = msgspec.convert({"preset": name, **tomllib.loads(text)}, Plan)
    if data is None:
        return plan
    changes = {
        key: spec if not spec or ":" in spec else str(data.absolute() / spec)
        for key, spec in (("pool", plan.pool), ("test", plan.test))
    }
    changes["noise"] = with_absolute_path(plan.noise, data)
    return msgspec.structs.replace(plan, **changes)

"""Presets of simulations that repeat published experiments, one ``.toml`` each."""

from importlib import resources
from pathlib import Path

import msgspec

from dgaal_cli.config.presets import preset_names, read_preset
from dgaal_cli.config.ranges import convert
from dgaal_cli.simulation.plan import Plan


def simulation_presets() -> list[str]:
    """Return the names; each ``-small`` preset follows the experiment that it reduces."""
    return preset_names(resources.files(__name__))


def load_preset(name: str, *, data: Path | None = None) -> Plan:
    """Read one preset.

    Args:
        name: Name of the preset.
        data: Folder that contains its files; None leaves their paths relative.

    Raises:
        ConfigError: The preset does not exist.
    """
    tree = read_preset(name, resources.files(__name__))
    plan = convert({"preset": name, **tree}, Plan)
    if data is None:
        return plan
    changes = {
        key: spec if not spec or ":" in spec else str(data.absolute() / spec)
        for key, spec in (("pool", plan.pool), ("test", plan.test))
    }
    changes["noise"] = plan.oracle_noise.with_absolute_path(data)
    return msgspec.structs.replace(plan, **changes)

"""Options outside files: ``--set key.path=value`` and ``DGAAL_*`` variables."""

import tomllib
from collections.abc import Mapping
from typing import Any

from dgaal_cli.errors import ConfigError

ENVIRONMENT_PREFIX = "DGAAL_"


def parse_assignment(text: str) -> tuple[list[str], Any]:
    """Split ``key.path=value``; the value is TOML, or bare text if it is not TOML.

    Raises:
        ConfigError: There is no ``=``.
    """
    key, equals, raw = text.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"--set {text!r} is not an assignment; write --set key.path=value")
    try:
        value = tomllib.loads(f"value = {raw}")["value"]
    except (ValueError, RecursionError):
        value = raw.strip()
    return [part.strip() for part in key.split(".")], value


def environment_assignments(environment: Mapping[str, str]) -> list[str]:
    """Turn ``DGAAL_QUERY__SIZE=50`` into ``query.size=50``; an unknown name is an error."""
    return [
        f"{name.removeprefix(ENVIRONMENT_PREFIX).lower().replace('__', '.')}={value}"
        for name, value in sorted(environment.items())
        if name.startswith(ENVIRONMENT_PREFIX)
    ]

"""What the command line needs to know before torch is loaded: a time limit, the processes."""

import math
import re
from collections.abc import Mapping

from dgaal_cli.errors import UsageError

_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}


def parse_duration(text: str) -> float:
    """Read ``90``, ``90s``, ``10m`` or ``1.5h`` as seconds.

    Raises:
        UsageError: The text is not a duration, or not above zero.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smh]?)", text.strip())
    seconds = float(match[1]) * _UNITS[match[2]] if match else 0.0
    if not seconds or not math.isfinite(seconds):
        raise UsageError(f"'{text}' is not a time above zero; write 90s, 10m or 1.5h")
    return seconds


def world_of(environment: Mapping[str, str]) -> int:
    """Return how many processes train together, 1 without ``torchrun``."""
    if not {"RANK", "MASTER_ADDR", "MASTER_PORT"} <= environment.keys():
        return 1
    return int(environment.get("WORLD_SIZE", "1"))


def is_first_process(environment: Mapping[str, str]) -> bool:
    """Return whether this process prints for the training."""
    return world_of(environment) == 1 or environment.get("RANK") == "0"

"""Tasks by name."""

import difflib
from importlib import import_module
from typing import Any, cast

from dgaal_cli.errors import ConfigError
from dgaal_cli.tasks.base import Task

TASKS = {"classification": "dgaal_cli.tasks.classification.task:Classification"}
"""Name to ``module:class``; a module is imported only when its task is used."""


DEFAULT_TASK = "classification"
"""Task of what works without ``dgaal.toml``, such as ``dgaal labels``."""


def load_task(name: str) -> Task[Any]:
    """Return a task by name.

    Raises:
        ConfigError: The task is unknown; the message names the nearest or all.
    """
    if name not in TASKS:
        near = difflib.get_close_matches(name, TASKS, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(TASKS)}"
        raise ConfigError(f"unknown task '{name}'; {hint}")
    module, _, attribute = TASKS[name].partition(":")
    return cast("Task[Any]", getattr(import_module(module), attribute)())

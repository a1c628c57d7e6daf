"""Tasks by name."""

from importlib import import_module
from typing import Any, cast

from dgaal_cli.errors import check_known
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
    check_known(name, TASKS, problem=f"unknown task '{name}'")
    module, _, attribute = TASKS[name].partition(":")
    return cast("Task[Any]", getattr(import_module(module), attribute)())

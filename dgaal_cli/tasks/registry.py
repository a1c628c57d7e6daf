"""Tasks by name."""

from importlib import import_module
from typing import Any, cast

from dgaal_cli.config.toml_file import read_text_key
from dgaal_cli.errors import check_known
from dgaal_cli.tasks.base import Task
from dgaal_cli.workspace import Workspace

TASKS = {"classification": "dgaal_cli.tasks.classification.task:Classification"}
"""Name to ``module:class``; a module is imported only when its task is used."""

DEFAULT_TASK = "classification"
"""Task where nothing names one."""


def load_task(name: str) -> Task[Any]:
    """Return a task by name.

    Raises:
        ConfigError: The task is unknown; the message names the nearest or all.
    """
    check_known(name, TASKS, problem=f"unknown task '{name}'")
    module, _, attribute = TASKS[name].partition(":")
    return cast("Task[Any]", getattr(import_module(module), attribute)())


def workspace_task(workspace: Workspace) -> Task[Any]:
    """Return the task that a workspace's ``dgaal.toml`` names.

    Raises:
        ConfigError: The task is unknown, or the file is not valid TOML.
    """
    name = read_text_key(workspace.config_path, "task", example=DEFAULT_TASK)
    return load_task(name or DEFAULT_TASK)

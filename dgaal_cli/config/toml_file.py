"""Read a TOML file, the keys that commands without a configuration need, or ``--set``."""

import tomllib
from pathlib import Path
from typing import Any

from dgaal_cli.config.presets import Tree
from dgaal_cli.errors import ConfigError, StorageError


def read_toml(path: Path) -> Tree:
    """Return the tree of a file.

    Raises:
        ConfigError: The file is not valid TOML.
        StorageError: It cannot be read.
    """
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror}") from error
    except RecursionError:
        raise ConfigError(f"{path} is not valid TOML: nested too deeply") from None
    except ValueError as error:  # also a number or a date that Python cannot hold
        raise ConfigError(f"{path} is not valid TOML: {error}") from error


def read_text_key(path: Path, key: str, *, example: str) -> str:
    """Return one top key of a ``dgaal.toml``; empty if it is missing, or there is no file.

    Raises:
        ConfigError: The file is not valid TOML, or the value is not a text.
    """
    text = read_toml(path).get(key, "") if path.exists() else ""
    if not isinstance(text, str):
        raise ConfigError(f"'{key}' in {path.name} is not a text; write {key} = \"{example}\"")
    return text


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

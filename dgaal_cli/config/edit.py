"""Change single keys of a ``dgaal.toml``; comments and order stay."""

import os
import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path

from dgaal_cli import atomic
from dgaal_cli.config.load import load_config
from dgaal_cli.config.schema import Config
from dgaal_cli.errors import ConfigError, StorageError

_HEADER = re.compile(r"\s*\[")


def set_values(
    path: Path, values: Mapping[str, str | int | bool], *, check: Callable[[Config], object]
) -> Config:
    """Set keys in a configuration file, or leave it exactly as it is.

    Args:
        path: File to change.
        values: Value by dotted key, of one section at most: ``{"query.size": 50}``.
        check: Called with the new configuration before the file is written; raises to refuse it.

    Returns:
        The new configuration, environment included.

    Raises:
        ConfigError: The result is not a valid configuration, or the file cannot be changed line by
            line; the file is untouched.
        StorageError: It cannot be read or written.
    """
    try:
        old = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise StorageError(f"cannot read {path}: {error}") from error
    text = old
    for key, value in values.items():
        text = _set(text, key, value)
    draft = path.with_name(f".{path.name}.check-{os.getpid()}")
    try:
        atomic.write_text(draft, text)
        config = load_config(draft, environment=os.environ)
        check(config)
    finally:
        draft.unlink(missing_ok=True)
    if text != old:
        atomic.write_text(path, text)
    return config


def _set(text: str, key: str, value: str | int | bool) -> str:  # noqa: FBT001 - a TOML value
    section, _, name = key.rpartition(".")
    lines = text.splitlines()
    start, end = _region(lines, section)
    written = f"{name} = {_literal(value)}"
    if start < 0:
        lines += [*([""] if lines and lines[-1].strip() else []), f"[{section}]", written]
    else:
        _replace(lines, start, end, name, written)
    changed = "\n".join(lines) + "\n"
    wanted = tomllib.loads(text)
    (wanted.setdefault(section, {}) if section else wanted)[name] = value
    try:
        is_right = tomllib.loads(changed) == wanted
    except tomllib.TOMLDecodeError:
        is_right = False
    if not is_right:
        raise ConfigError(
            f"cannot change {key} in a file written like this; edit dgaal.toml by hand"
        )
    return changed


def _region(lines: list[str], section: str) -> tuple[int, int]:
    """First line of a section's keys and the line after its last; -1 where it is missing."""
    start = 0
    if section:
        header = re.compile(rf"\s*\[\s*{re.escape(section)}\s*\]\s*(#.*)?")
        start = next((i + 1 for i, line in enumerate(lines) if header.fullmatch(line)), -1)
        if start < 0:
            return -1, -1
    end = next((i for i in range(start, len(lines)) if _HEADER.match(lines[i])), len(lines))
    return start, end


def _replace(lines: list[str], start: int, end: int, name: str, written: str) -> None:
    pattern = re.compile(rf"(\s*){re.escape(name)}\s*=\s*(\"[^\"]*\"|'[^']*'|[^#\s]+)(\s*#.*)?\s*")
    for i in range(start, end):
        match = pattern.fullmatch(lines[i])
        if match:
            lines[i] = f"{match[1]}{written}{match[3] or ''}"
            return
    while end > start and not lines[end - 1].strip():
        end -= 1
    lines.insert(end, written)


def _literal(value: str | int | bool) -> str:  # noqa: FBT001
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if not value.isprintable():
        raise ConfigError(f"{value!r} cannot be written to dgaal.toml")
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'

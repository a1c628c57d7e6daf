"""Write the pages of commands, settings and functions: ``python scripts/write_reference.py``.

``docs/commands.md`` comes from the functions behind the commands, ``docs/settings.md`` from the
schema of ``dgaal.toml``, ``docs/python-functions.md`` from ``dgaal_cli``. A test fails if a page is
older than the program.
"""

import ast
import dataclasses
import inspect
import json
import typing
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from types import NoneType
from typing import Any

from python_reference import attribute_docstrings, code_spans, python_page
from typer.models import OptionInfo, ParameterInfo

from dgaal_cli import cli
from dgaal_cli.config import schema
from dgaal_cli.config.load import build_config
from dgaal_cli.config.ranges import demand_of

DOCS = Path(__file__).resolve().parents[1] / "docs"
COMMANDS_INTRO = """\
# Commands

Every command with its arguments and options.

The options of the first section work with every command, before or after its name.
`dgaal COMMAND --help` shows them in the terminal. [Exit codes](artifacts.md#exit-codes) are
on another page.
`scripts/write_reference.py` writes this page from the program.
"""
SETTINGS_INTRO = """\
# Settings

Every key of `dgaal.toml`, with its range and default.

A value comes from `--set query.size=50` on the command line, else from the environment
(`DGAAL_QUERY__SIZE=50`), else from `dgaal.toml`, else from the preset. The defaults here are
those of the preset `small`; `dgaal init` chooses `tiny` for gray pools. An unknown key or a value
out of its range is an error. T, G1, D1 and other names of networks are in the
[glossary](glossary.md#methods). `scripts/write_reference.py` writes this page from the program.
"""
TYPES = {
    int: "integer",
    float: "number",
    bool: "`true` or `false`",
    str: "text",
    tuple: "list of numbers",
    dict: "table",
}
PLACEHOLDERS = {int: "N", float: "NUMBER", str: "TEXT", Path: "PATH"}


def commands_page() -> str:
    """Return the page of all commands."""
    assert cli.app.registered_callback is not None
    parts = [COMMANDS_INTRO, *_command("dgaal", cli.app.registered_callback.callback)]
    for name in cli.COMMANDS:
        module = import_module(f"dgaal_cli.commands.{name}")
        group = getattr(module, "app", None)
        if group is None:
            parts += _command(f"dgaal {name}", getattr(module, name))
            continue
        if group.registered_callback is not None:
            parts += _command(f"dgaal {name}", group.registered_callback.callback)
        for command in group.registered_commands:
            parts += _command(f"dgaal {name} {command.name}", command.callback)
    return "\n".join(parts)


def _command(title: str, function: Callable[..., object] | None) -> Iterator[str]:
    assert function is not None
    yield f"## {title}\n"
    yield f"{code_spans(inspect.getdoc(function) or '')}\n"
    items = list(_parameters(function))
    if items:
        yield "\n".join(items) + "\n"


def _parameters(function: Callable[..., object]) -> Iterator[str]:
    hints = typing.get_type_hints(function, include_extras=True)
    for name, parameter in inspect.signature(function).parameters.items():
        hint = hints[name]
        info = next(
            (part for part in getattr(hint, "__metadata__", ()) if isinstance(part, ParameterInfo)),
            None,
        )
        if info is not None and not info.hidden:
            yield _parameter(name, _bare(hint), info, parameter.default)


def _parameter(name: str, kind: Any, info: ParameterInfo, default: object) -> str:
    is_flag = kind is bool or (isinstance(info, OptionInfo) and info.count)
    placeholder = info.metavar or _placeholder(kind)
    if isinstance(info, OptionInfo):
        # In an annotation the first argument of Option is a spelling, not a default.
        given = [
            part for part in (info.default, *(info.param_decls or ())) if isinstance(part, str)
        ]
        spellings = given or [f"--{name.replace('_', '-')}"]
        title = ", ".join(sorted(spellings, key=len)) + ("" if is_flag else f" {placeholder}")
    else:
        title = info.metavar or name.upper()
    notes: list[str] = []
    if default is inspect.Parameter.empty and not is_flag:
        notes.append("required")
    elif default not in (None, "", []) and not is_flag:
        notes.append(f"default `{default}`")
    notes += [f"at least {info.min:g}"] if info.min is not None else []
    notes += [f"at most {info.max:g}"] if info.max is not None else []
    return _item(title, info.help or "", "; ".join(notes))


def _placeholder(kind: Any) -> str:
    if typing.get_origin(kind) is typing.Literal:
        return "|".join(map(str, typing.get_args(kind)))
    return PLACEHOLDERS.get(kind, "TEXT")


def settings_page() -> str:
    """Return the page of all settings."""
    defaults = build_config({"pool": {"source": "."}})
    parts = [SETTINGS_INTRO, "## Keys outside of tables\n", *_settings(schema.Config, defaults)]
    for field in dataclasses.fields(schema.Config):
        value = getattr(defaults, field.name)
        if dataclasses.is_dataclass(value):
            kind = type(value)
            parts += [f"## {field.name}\n", f"{code_spans(inspect.getdoc(kind) or '')}\n"]
            parts += _settings(kind, value, f"{field.name}.")
    return "\n".join(parts)


def _settings(kind: type, values: object, prefix: str = "") -> Iterator[str]:
    hints = typing.get_type_hints(kind, include_extras=True)
    source = ast.parse(inspect.getsource(kind)).body[0]
    documented = attribute_docstrings(typing.cast("ast.ClassDef", source))
    items: list[str] = []
    for field in dataclasses.fields(typing.cast("Any", kind)):
        hint, value = hints[field.name], getattr(values, field.name)
        if dataclasses.is_dataclass(value):
            continue
        is_required = field.default is field.default_factory is dataclasses.MISSING
        default = "required" if is_required else f"default `{_toml(value)}`"
        bare = _bare(hint)
        type_name = TYPES.get(typing.get_origin(bare) or bare)
        demand = demand_of(hint)
        rule = f"must {demand}" if demand else None
        notes = "; ".join(part for part in (type_name, rule, default) if part)
        items.append(_item(f"{prefix}{field.name}", documented[field.name], notes))
    yield "\n".join(items) + "\n"


def _bare(hint: Any) -> Any:
    """Return the type without its metadata, ``None`` and list."""
    if hasattr(hint, "__metadata__"):
        hint = typing.get_args(hint)[0]
    if NoneType in typing.get_args(hint):
        hint = next(part for part in typing.get_args(hint) if part is not NoneType)
    return typing.get_args(hint)[0] if typing.get_origin(hint) is list else hint


def _toml(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _item(title: str, text: str, notes: str) -> str:
    notes = f" ({notes})" if notes else ""
    return f"- **`{title}`**: {code_spans(' '.join(text.split()))}{notes}"


PAGES = {
    "commands.md": commands_page,
    "settings.md": settings_page,
    "python-functions.md": python_page,
}

if __name__ == "__main__":
    for name, page in PAGES.items():
        (DOCS / name).write_text(page())

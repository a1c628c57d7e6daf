"""Ranges of options: declared with each field, checked and described in one place."""

import dataclasses
import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import msgspec

from dgaal_cli.errors import ConfigError
from dgaal_cli.escaping import show

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A condition that ``msgspec.Meta`` cannot express, as metadata of an ``Annotated`` type."""

    is_met: Callable[[Any], object]
    demand: str
    """What a value must do: "be at least 0 and below 1, or -1"."""


def convert(
    tree: dict[str, Any], schema: type[_T], *, name_of: Callable[[str], str] = "'{}'".format
) -> _T:
    """Turn a tree of values into ``schema``, whose types carry their ranges.

    NaN lies outside every range; infinity and very large integers lie outside a range with an upper
    bound.

    Args:
        tree: Values by key, tables as dicts.
        schema: A dataclass or a ``msgspec.Struct``; nested dataclasses are tables.
        name_of: Returns what messages call the option of a dotted key.

    Raises:
        ConfigError: A value has the wrong type or lies outside its range. The message names the
            key, the value and what is allowed.
    """
    try:
        result = msgspec.convert(tree, schema)
    except msgspec.ValidationError as error:
        raise ConfigError(_describe(str(error), tree, schema, name_of)) from error
    _check_rules(result, schema, name_of)
    return result


def _describe(
    message: str, tree: dict[str, Any], schema: type, name_of: Callable[[str], str]
) -> str:
    """Describe what is allowed; msgspec only names the wrong value or one bound."""
    path = message.rpartition("`$.")[2].removesuffix("`").split(".")
    hint, value = cast("Any", schema), cast("Any", tree)
    for key in path:
        fields = typing.get_type_hints(hint, include_extras=True) if isinstance(hint, type) else {}
        hint = fields.get(key)
        value = cast("Any", value[key] if key in value else {})  # noqa: SIM401 - of unknown type
    name, shown = ".".join(path), show(str(value))
    if typing.get_origin(hint) is typing.Literal:
        allowed = ", ".join(map(str, typing.get_args(hint)))
        return f"{name} cannot be {show(repr(value))}; choose one of {allowed}"
    demand = demand_of(hint)
    if (message.startswith("Expected `") and ", got" in message) or not demand:
        return f"wrong value in the configuration: {show(message)}"
    return f"{name_of(name)} is {shown or 'empty'}; it must {demand}"


def demand_of(hint: Any) -> str:
    """Say what a value of an option must do: "be above 0 and at most 100".

    Args:
        hint: Type of the option, with its metadata.

    Returns:
        The demand; empty if the type alone says what is allowed.
    """
    if typing.get_origin(hint) is typing.Literal:
        allowed = list(map(str, typing.get_args(hint)))
        return f"be {'one of ' if len(allowed) > 1 else ''}{', '.join(allowed)}"
    rule, meta = _metadata(hint, Rule), _metadata(hint, msgspec.Meta)
    if rule is not None:
        return rule.demand
    return "" if meta is None else _demand(meta)


def _check_rules(value: Any, schema: type, name_of: Callable[[str], str], prefix: str = "") -> None:
    for key, hint in typing.get_type_hints(schema, include_extras=True).items():
        own = getattr(value, key)
        if dataclasses.is_dataclass(hint):
            _check_rules(own, cast("type", hint), name_of, f"{prefix}{key}.")
        rule = _metadata(hint, Rule)
        if rule is not None and not rule.is_met(own):
            named = name_of(f"{prefix}{key}")
            raise ConfigError(f"{named} is {own}; it must {rule.demand}")


def _metadata(hint: Any, kind: type[_T]) -> _T | None:
    return next(
        (part for part in getattr(hint, "__metadata__", ()) if isinstance(part, kind)), None
    )


def _demand(meta: msgspec.Meta) -> str:
    """Say in words which values a range holds: "be above 0 and at most 100"."""
    if meta.min_length is not None or meta.max_length is not None:
        return f"have {meta.min_length or 0} to {meta.max_length} characters"
    if meta.ge is not None and meta.le is not None:
        return f"be between {meta.ge} and {meta.le}"
    lower = f"above {meta.gt}" if meta.gt is not None else f"at least {meta.ge}"
    upper = f"below {meta.lt}" if meta.lt is not None else f"at most {meta.le}"
    return f"be {lower} and {upper}"

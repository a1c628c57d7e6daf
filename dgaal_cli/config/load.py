"""From files, environment and command line to one checked ``Config``.

Precedence: command line, ``DGAAL_*`` environment, ``dgaal.toml``, preset, defaults. Unknown keys
are errors that name the nearest key; msgspec alone would let them pass on dataclasses.
"""

import dataclasses
import difflib
import math
import os
import tomllib
import typing
from collections.abc import Callable, Iterable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any, cast

import msgspec

from dgaal_cli.config.schema import Config
from dgaal_cli.errors import ConfigError, StorageError, WorkspaceError
from dgaal_cli.escaping import show
from dgaal_cli.workspace import Workspace

ENVIRONMENT_PREFIX = "DGAAL_"
PRESET_ALIASES = {"paper": "cifar10-paper"}
"""Names of older workspaces and simulations."""
SCHEMA_VERSION = 1

Tree = dict[str, Any]


def preset_names() -> list[str]:
    """Names that ``preset`` may take."""
    folder = resources.files("dgaal_cli.config") / "presets"
    return sorted(
        f.name.removesuffix(".toml") for f in folder.iterdir() if f.name.endswith(".toml")
    )


def load_config(
    path: Path, *, environment: Mapping[str, str], assignments: Iterable[str] = ()
) -> Config:
    """Read a workspace's ``dgaal.toml`` and lay environment and ``--set`` values over it.

    Args:
        path: The file.
        environment: Usually ``os.environ``; keys ``DGAAL_SEED``, ``DGAAL_QUERY__SIZE``.
        assignments: ``key.path=value`` of the command line, value in TOML syntax or bare text.

    Raises:
        ConfigError: A key or value is wrong.
        WorkspaceError: A newer dgaal wrote the file.
    """
    tree = _read_toml(path)
    version = tree.get("version", SCHEMA_VERSION)
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise WorkspaceError(
            f"{show(path.name)} has version {version}, this dgaal knows up to {SCHEMA_VERSION}; "
            "upgrade dgaal to work here"
        )
    _check_keys(tree, Config, where=show(path.name))
    for assignment in (*_from_environment(environment), *assignments):
        _assign(tree, assignment)
    return build_config(tree)


def configuration(workspace: Workspace, *assignments: str) -> Config:
    """Read a workspace's configuration as the command line does; for notebooks and scripts.

    Args:
        workspace: Where.
        *assignments: ``key.path=value``, as after ``--set``.
    """
    path = workspace.config_path
    return load_config(path, environment=os.environ, assignments=assignments)


def build_config(tree: Tree) -> Config:
    """Turn a tree of user's values into a ``Config``, filling gaps from its preset.

    Raises:
        ConfigError: A key or value is wrong.
    """
    _check_keys(tree, Config, where="the configuration")
    preset = tree.get("preset", "small")
    preset = PRESET_ALIASES.get(preset, preset)
    if preset not in preset_names():
        raise ConfigError(
            f"unknown preset {show(repr(preset))}; choose one of {', '.join(preset_names())}"
        )
    merged = _merge(tomllib.loads(_preset_text(preset)), tree)
    try:
        config = msgspec.convert(merged, Config)
    except msgspec.ValidationError as error:
        raise ConfigError(_wrong_value(str(error), merged)) from error
    _check_ranges(config)
    return config


def _wrong_value(message: str, tree: Tree) -> str:
    """Name the values that a key may take, where msgspec names the wrong one alone."""
    path = message.rpartition("`$.")[2].removesuffix("`").split(".")
    schema, value = cast("Any", Config), cast("Any", tree)
    for key in path:
        schema = typing.get_type_hints(schema).get(key) if dataclasses.is_dataclass(schema) else 0
        value = cast("Any", value[key] if key in value else {})  # noqa: SIM401 - of unknown type
    if typing.get_origin(schema) is not typing.Literal:
        return f"wrong value in the configuration: {show(message)}"
    allowed = ", ".join(map(str, typing.get_args(schema)))
    return f"{'.'.join(path)} cannot be {show(repr(value))}; choose one of {allowed}"


def parse_assignment(text: str) -> tuple[list[str], Any]:
    """Split ``key.path=value``; the value is TOML, or bare text where it is no TOML.

    Raises:
        ConfigError: There is no ``=``.
    """
    key, equals, raw = text.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"--set {show(text)!r} is no assignment; write --set key.path=value")
    try:
        value = tomllib.loads(f"value = {raw}")["value"]
    except (ValueError, RecursionError):
        value = raw.strip()
    return [part.strip() for part in key.split(".")], value


def _preset_text(name: str) -> str:
    return (resources.files("dgaal_cli.config") / "presets" / f"{name}.toml").read_text("utf-8")


def _read_toml(path: Path) -> Tree:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise StorageError(f"cannot read {show(str(path))}: {error.strerror}") from error
    except RecursionError:
        raise ConfigError(f"{show(str(path))} is no valid TOML: nested too deeply") from None
    except ValueError as error:  # also a number or a date that Python cannot hold
        raise ConfigError(f"{show(str(path))} is no valid TOML: {show(str(error))}") from error


def _from_environment(environment: Mapping[str, str]) -> list[str]:
    """``DGAAL_QUERY__SIZE=50`` says ``query.size=50``; an unknown name is an error, as a key is."""
    return [
        f"{name.removeprefix(ENVIRONMENT_PREFIX).lower().replace('__', '.')}={value}"
        for name, value in sorted(environment.items())
        if name.startswith(ENVIRONMENT_PREFIX)
    ]


def _assign(tree: Tree, assignment: str) -> None:
    keys, value = parse_assignment(assignment)
    branch: Tree = {}
    node = branch
    for key in keys[:-1]:
        node[key] = {}
        node = node[key]
    node[keys[-1]] = value
    _check_keys(branch, Config, where=f"'{show(assignment)}'")
    merged = _merge(tree, branch)
    tree.clear()
    tree.update(merged)


def _merge(below: Tree, above: Tree) -> Tree:
    result = dict(below)
    for key, value in above.items():
        old = result.get(key)
        both_tables = isinstance(old, dict) and isinstance(value, dict)
        result[key] = _merge(cast("Tree", old), cast("Tree", value)) if both_tables else value
    return result


def _check_keys(tree: Tree, schema: type, *, where: str, path: str = "") -> None:
    hints = typing.get_type_hints(schema)
    for key, value in tree.items():
        if key not in hints:
            near = difflib.get_close_matches(key, hints, n=1, cutoff=0.5)
            hint = f"did you mean '{path}{near[0]}'?" if near else f"known: {', '.join(hints)}"
            raise ConfigError(f"unknown key '{show(path + key)}' in {where}; {hint}")
        inner = hints[key]
        if dataclasses.is_dataclass(inner) and isinstance(inner, type):
            if not isinstance(value, dict):
                raise ConfigError(f"'{path}{key}' in {where} is a table; write [{path}{key}]")
            _check_keys(cast("Tree", value), inner, where=where, path=f"{path}{key}.")


_POSITIVE = (
    "query.size",
    "query.overlap",
    "network.width",
    "network.latent",
    "network.latent_hidden",
    "network.critic_width",
    "network.classifier_width",
    "pretrain.batch",
    "coevolve.batch",
    "coevolve.steps",
    "classifier.batch",
    "classifier.steps",
    "classifier.penalty",
    "classifier.unlabeled_ratio",
    "classifier.unlabeled_steps",
    "acquisition.passes",
    "acquisition.members",
    "discriminative.hidden",
    "discriminative.epochs",
    "discriminative.batch",
    "discriminative.lr",
    "gaal.latent",
    "gaal.width",
    "gaal.batch",
    "gaal.lr",
    "gaal.descent_lr",
    "gaal.descent_steps",
    "gaal.restarts",
    "gaal.patience",
    "gaal.atoms",
    "vaal.width",
    "vaal.batch",
    "vaal.lr",
    "vaal.decoder_variance",
    "vaal.beta",
    "vaal.vae_steps",
    "vaal.discriminator_steps",
)
_NOT_NEGATIVE = (
    "seed",
    "threads",
    "query.budget",
    "label.gate_ms",
    "network.residual_blocks",
    "pretrain.epochs",
    "classifier.epochs",
    "pretrain.min_steps",
    "pretrain.adversarial_weight",
    "pretrain.pool_weight",
    "pretrain.vicreg_weight",
    "classifier.shift",
    "classifier.unlabeled_weight",
    "classifier.distortion",
    "generation.per_parent",
    "selection.cover",
    "acquisition.beta",
    "acquisition.sub_batches",
    "coverage.radius",
    "gaal.epochs",
    "gaal.min_steps",
    "gaal.diversity",
    "gaal.realism",
    "gaal.sparsity",
    "vaal.epochs",
    "vaal.min_steps",
    "vaal.kappa",
    "vaal.adversary_weight",
    "vaal.settle_steps",
)
_SHARES = (
    "generation.noise",
    "generation.last_noise",
    "generation.share",
    "evaluation.held_out",
    "pretrain.stop_overlap",
    "vaal.stop_overlap",
    "classifier.dropout",
    "classifier.unlabeled_threshold",
    "coverage.purity",
    "vaal.held_out",
    "gaal.momentum",
)
_PARTS = (
    "label.max_junk",
    "classifier.distorted_labels",
    "vaal.certainty_weight",
    "vaal.ranking_share",
)
_CHOICES: dict[str, tuple[int, ...]] = {
    "pool.image_size": (0, 8, 16, 32, 64),
    "pool.channels": (0, 1, 3),
    "network.max_image_size": (8, 16, 32, 64),
}


_LIMITS: tuple[tuple[tuple[str, ...], Callable[[float], bool], str], ...] = (
    (_POSITIVE, lambda value: value > 0, "be above 0"),
    (_NOT_NEGATIVE, lambda value: value >= 0, "not be negative"),
    (_SHARES, lambda value: 0 <= value < 1, "be at least 0 and below 1"),
    (_PARTS, lambda value: 0 <= value <= 1, "be between 0 and 1"),
    (("coevolve.folds",), lambda value: value >= 2, "be at least 2"),
    (
        ("generation.min_confidence",),
        lambda value: 0 <= value < 1 or value == -1,
        "be at least 0 and below 1, or -1",
    ),
    (("selection.spread",), lambda value: 1 <= value < math.inf, "be at least 1"),
)


def _check_ranges(config: Config) -> None:
    for keys, is_fine, demand in _LIMITS:
        for key in keys:
            value = _value(config, key)
            if not is_fine(value):
                raise ConfigError(f"'{key}' is {show(str(value))}; it must {demand}")
    for key, allowed in _CHOICES.items():
        if _value(config, key) not in allowed:
            listed = ", ".join(map(str, allowed))
            value = show(str(_value(config, key)))
            raise ConfigError(f"'{key}' is {value}; choose one of {listed}")
    task = config.classifier
    if task.architecture == "linear-svm" and task.semi_supervised == "fixmatch":
        raise ConfigError(
            "'classifier.semi_supervised' is fixmatch, but a linear-svm learns from labels alone; "
            "use none, or another architecture"
        )


def _value(config: Config, key: str) -> Any:
    node: Any = config
    for part in key.split("."):
        node = getattr(node, part)
    return node

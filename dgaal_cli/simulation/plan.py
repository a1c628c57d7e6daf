"""Plan of a simulation: arms, seeds, rounds, oracle."""

from functools import partial, reduce
from typing import Annotated, Any, Literal, cast

import msgspec
from msgspec import Meta

from dgaal_cli.config.presets import Tree, merge_overrides
from dgaal_cli.config.ranges import convert
from dgaal_cli.config.schema import Config, Count, Part, Positive, Seed
from dgaal_cli.config.toml_file import parse_assignment
from dgaal_cli.errors import ConfigError, UsageError
from dgaal_cli.methods.configuration import build_configuration
from dgaal_cli.methods.registry import REFERENCE, method_info
from dgaal_cli.tasks.base import OracleNoise
from dgaal_cli.tasks.registry import DEFAULT_TASK, load_task

FULL_DATA = "all-labels"
"""Name of the reference line: T trained on every label of the pool."""
LINEAR_HEAD = "classifier.head=linear"
"""Setting of the T on features that all methods share."""


class Arm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One contender: a method, perhaps with settings of its own."""

    method: str
    name: str = ""
    """How tables call it; the method's name if empty."""
    settings: tuple[str, ...] = ()
    """``key.path=value``, merged over the simulation's configuration."""

    @property
    def label(self) -> str:
        """The name that tables and files use."""
        if self.name:
            return self.name
        return f"{self.method}[{';'.join(self.settings)}]" if self.settings else self.method


class Plan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A whole simulation."""

    version: Literal[1] = 1
    preset: str = ""
    follows: str = ""
    """Figure or table of a paper that the plan repeats, in words."""
    note: str = ""
    """Differences from it, and their reasons."""
    published: tuple[str, ...] = ()
    """Numbers of the paper and of later studies, one per line, shown next to the results."""
    pool: str = ""
    """SOURCE of labeled images to choose from."""
    test: str = ""
    """SOURCE of labeled images to measure on. Empty: a share of the pool is held out."""
    classes: tuple[str, ...] = ()
    """Only images of these classes take part; empty = all."""
    pool_size: Count = 0
    """Number of random images of the pool that take part, the same for every seed; 0 = all."""
    test_size: Count = 0
    """Number of random test images that take part; 0 = all."""
    test_share: Annotated[float, Meta(gt=0, lt=1)] = 0.2
    """Share of the pool held out to measure on, if there is no test source."""
    new_test: bool = False
    """Hold out other images for each seed. Otherwise methods without randomness ask the same images
    with each seed if there are no first labels, and their intervals say nothing of other pools."""
    group_by: str = ""
    """How names give groups of images, which are held out together: see ``pool.group_by``. A column
    ``group`` of a manifest comes first."""
    arms: tuple[Arm, ...] = ()
    seeds: tuple[Seed, ...] = (0, 1, 2, 3, 4)
    rounds: Annotated[int, Meta(ge=0, le=100_000)] = 6
    """Number of query rounds. Accuracy is measured before the first and after each."""
    initial: Count = 50
    """Labels before the first query."""
    start: Literal["random", "balanced"] = "random"
    """How the first labels are drawn."""
    query_size: Positive = 50
    """Labels per query."""
    query_sizes: tuple[Positive, ...] = ()
    """Labels of the first queries, in turn; the last size repeats. Empty: ``query_size`` each."""
    absent_classes: tuple[str, ...] = ()
    """Classes that have no labels before the first query."""
    absent_count: Count = 0
    """Number of further such classes, drawn by the seed."""
    imbalance: str = ""
    """``NAME=SHARE,...`` or ``random:N=SHARE``: classes of which only a share stays in the pool."""
    noise: str = ""
    """Errors of the oracle; see the ``noise`` module of the task."""
    oracle_confidence: Part = 0.8
    """Probability below which the model oracle cannot name a synthetic image."""
    full_data: bool = False
    """Also measure T trained on all labels of the pool."""
    guesses: bool = False
    """Count how often predictions are right, and the keys that they save."""
    image_size: int = 0
    """Side in pixels of the images that the networks see: 8, 16, 32, 64; 0 = automatic, from the
    pool."""
    channels: int = 0
    """1 gray, 3 color; 0 = automatic, from the pool."""
    config: Tree = {}
    """Values merged over dgaal's defaults: sizes, schedules, device."""

    @property
    def oracle_noise(self) -> OracleNoise:
        """The parsed ``noise``; ``UsageError`` if it has no known form."""
        return load_task(str(self.config.get("task", DEFAULT_TASK))).noise(self.noise)

    @property
    def budget(self) -> int:
        """Labels after the last query."""
        return self.initial + sum(map(self.size_of, range(self.rounds)))

    def size_of(self, number: int) -> int:
        """Return the labels of query ``number``, from 0."""
        sizes = self.query_sizes or (self.query_size,)
        return sizes[min(number, len(sizes) - 1)]


def parse_methods(text: str) -> tuple[Arm, ...]:
    """Parse ``random,dgaal,dgaal[generation.share=0;coevolve.folds=2]``.

    Raises:
        UsageError: A bracket is not closed, or a name is empty.
        ConfigError: A method does not exist.
    """
    arms: list[Arm] = []
    for part in _split_outside_brackets(text):
        name, bracket, inside = part.strip().partition("[")
        if not name or (bracket and not inside.endswith("]")):
            raise UsageError(
                f"--methods {text!r} is not understood; write random,margin or "
                "dgaal[generation.share=0;coevolve.folds=2]"
            )
        method_info(name)
        settings = tuple(s.strip() for s in inside.removesuffix("]").split(";") if s.strip())
        arms.append(Arm(method=name, settings=settings))
    return tuple(arms)


def with_reference(plan: Plan) -> Plan:
    """Put random first, because all methods are compared with it."""
    own = [arm for arm in plan.arms if arm.label != REFERENCE]
    return msgspec.structs.replace(plan, arms=(Arm(method=REFERENCE), *own))


def check(plan: Plan) -> None:
    """Check what can be checked without reading an image.

    Raises:
        UsageError: A value cannot work.
        ConfigError: A method or configuration key is unknown.
    """
    convert(msgspec.to_builtins(plan), Plan, name_of=lambda key: f"--{key.replace('_', '-')}")
    labels = [arm.label for arm in plan.arms]
    if len(set(labels)) < len(labels) or FULL_DATA in labels:
        raise UsageError(f"each method may take part once: {', '.join(labels)}")
    if not plan.seeds or len(set(plan.seeds)) < len(plan.seeds):
        raise UsageError("--seeds needs a count above 0, or different seeds such as 0,1,2")
    config = partial(config_of, plan, seed=0, image_size=plan.image_size, channels=plan.channels)
    # T starts from scratch in each round; single arms may differ, as systems.
    if config(Arm(method=REFERENCE)).classifier.init != "scratch":
        raise UsageError(
            "classifier.init must stay 'scratch' for all, or rounds are not comparable; give "
            "it to one method: --methods 'random,margin,margin[classifier.init=warm]'"
        )
    for arm in plan.arms:
        own = config(arm)
        if own.classifier.head != "linear" and own.encoder.source == "pixels":
            raise UsageError(
                f"classifier.head is {own.classifier.head}, but T learns from pixels and has no "
                "such head; add --encoder, or leave it out"
            )


def config_of(plan: Plan, arm: Arm, *, seed: int, image_size: int, channels: int) -> Config:
    """Build the configuration of one trial.

    Raises:
        ConfigError: A key or value is wrong.
    """
    defaults = merge_assignment({"threads": 1, "preset": "tiny"}, LINEAR_HEAD)
    tree = merge_overrides(defaults, plan.config)
    return build_configuration(
        reduce(merge_assignment, arm.settings, tree)
        | {
            "method": arm.method,
            "seed": seed,
            "pool": {"source": plan.pool, "image_size": image_size, "channels": channels},
            "query": {"size": plan.size_of(0), "budget": plan.budget},
        }
    )


def merge_assignment(tree: Tree, assignment: str) -> Tree:
    """Return the tree with one ``key.path=value`` merged over it.

    Raises:
        ConfigError: The simulation sets this key itself, or ``=`` is missing.
    """
    keys, value = parse_assignment(assignment)
    if keys[0] in ("method", "seed", "pool", "query", "name", "store", "version"):
        raise ConfigError(
            f"'{keys[0]}' cannot be set for a simulation; it has options of its own: "
            "--methods, --seeds, --query-size, --image-size"
        )
    return _put(tree, keys, value)


def protocol_of(plan: Plan) -> Tree:
    """Return the settings that all trials of a folder share; arms and seeds may be added later."""
    tree = cast("Tree", msgspec.to_builtins(plan))
    for key in ("arms", "seeds", "preset", "follows", "note", "published", "full_data"):
        del tree[key]
    return tree


def _put(tree: Tree, keys: list[str], value: Any) -> Tree:
    head, *rest = keys
    if not rest:
        return tree | {head: value}
    below = tree.get(head, {})
    return tree | {head: _put(cast("Tree", below) if isinstance(below, dict) else {}, rest, value)}


def _split_outside_brackets(text: str) -> list[str]:
    parts, depth = [""], 0
    for character in text:
        depth += {"[": 1, "]": -1}.get(character, 0)
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return parts

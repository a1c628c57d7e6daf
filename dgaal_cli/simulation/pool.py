"""Images of a simulation with their true labels: the whole pool, and the rows of one seed."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dgaal_cli.data.decoders.base import Rendering
from dgaal_cli.data.grouping import group_rule
from dgaal_cli.data.images import Pixels
from dgaal_cli.data.pool import Survey, load_pixels, survey
from dgaal_cli.data.pool_shape import natural_order, stretch_note
from dgaal_cli.data.sources import open_source
from dgaal_cli.data.sources.base import Source
from dgaal_cli.encoders.registry import side_for
from dgaal_cli.errors import InputDataError, UsageError
from dgaal_cli.escaping import show
from dgaal_cli.ids import SampleId
from dgaal_cli.methods.registry import REFERENCE
from dgaal_cli.simulation.features import PoolFeatures, encode_pool
from dgaal_cli.simulation.plan import Arm, Plan, config_of
from dgaal_cli.training.seeds import numpy_generator

Labels = npt.NDArray[np.int64]


class _Image(NamedTuple):
    """One labeled image of a source."""

    id: SampleId
    label: str
    """Name of its class."""
    group: str
    """What it shares with other images; empty: it is a group of its own."""


_Images = list[_Image]


@dataclass(frozen=True, slots=True, kw_only=True)
class LabeledPool:
    """N images that may be asked, and T test images."""

    ids: list[SampleId]
    pixels: Pixels
    """uint8 ``(N, S, S, C)``."""
    truth: Labels
    """int64 ``(N,)``."""
    class_names: list[str]
    test_pixels: Pixels
    test_labels: Labels
    groups: Labels
    """int64 ``(N,)``: the number of each image's group, 0 to the number of groups - 1."""
    notes: tuple[str, ...] = ()
    """Sentences about omitted images."""
    features: PoolFeatures | None = None
    """What networks learn from, with a pretrained encoder."""

    def test_count(self, plan: Plan) -> int:
        """Return the number of images that are measured on with each seed."""
        rows = held_out_rows(plan, self, 0)
        return len(self.test_labels if rows is None else rows)


def load_pool(plan: Plan, *, cache: Path | None) -> LabeledPool:
    """Read pool and test images, stretched to the size of the networks, and their features.

    Relative sources are relative to the current folder; ``cache`` is for decoded pixels and
    features.

    Raises:
        InputDataError: A source is missing, or has no labels or too few classes.
    """
    source = open_source(plan.pool, base=Path.cwd())
    found, notes = _labeled(source, plan)
    size, channels, seen = _shape(plan, source)
    if seen is not None:
        unreadable = {name for name, _ in seen.unreadable}
        found = [image for image in found if image.id not in unreadable]
        if unreadable:
            notes.append(f"{len(unreadable)} unreadable images left out")
        if seen.range.note:
            notes.append(seen.range.note)
        if note := stretch_note(seen.sizes(), size):
            notes.append(note)
    found = _subset(found, plan.pool_size, "pool")
    if plan.test:
        test_source = open_source(plan.test, base=Path.cwd())
        held, more = _labeled(test_source, plan)
        notes += [f"test: {note}" for note in more]
        notes += _shared_groups(found, held)
    else:
        test_source = source
        held, others = _split(found, plan.test_share)
        notes.append(f"{len(held)} images of the pool set apart for measuring")
        if plan.new_test:
            notes[-1] += ", others with each seed"
            held = []
        else:
            found = others
    held = _subset(held, plan.test_size, "test")
    names = _class_names(plan, found, held)
    index = {name: k for k, name in enumerate(names)}

    def pixels(of: Source, rows: _Images) -> Pixels:
        ids = [image.id for image in rows]
        return load_pixels(
            of,
            ids,
            size=size,
            channels=channels,
            cache=cache,
            workers=1,
            rendering=Rendering(seen.range.range if seen else None),
        )

    config = config_of(plan, Arm(method=REFERENCE), seed=0, image_size=size, channels=channels)
    features = encode_pool(
        config,
        (source, [image.id for image in found]),
        (test_source, [image.id for image in held]),
        cache=None if cache is None else cache / "features",
    )
    missing = sorted(set(names) - {image.label for image in found}, key=names.index)
    if missing:
        notes.append(f"no image of the pool shows {show(', '.join(missing[:5]))}")
    return LabeledPool(
        ids=[image.id for image in found],
        pixels=pixels(source, found),
        truth=np.array([index[image.label] for image in found], dtype=np.int64),
        class_names=names,
        test_pixels=pixels(test_source, held),
        test_labels=np.array([index[image.label] for image in held], dtype=np.int64),
        groups=_group_numbers(found),
        notes=tuple(notes),
        features=features,
    )


def held_out_rows(plan: Plan, pool: LabeledPool, seed: int) -> Labels | None:
    """Return the pool's rows to measure on with this seed; None measures on the test images."""
    if plan.test or not plan.new_test:
        return None
    return _held_rows(pool.groups, plan.test_share, numpy_generator(seed, "held out"))


def rows_of_seed(plan: Plan, pool: LabeledPool, seed: int) -> Labels:
    """Return the rows of this seed's trials: without test rows, and fewer of imbalanced classes.

    Raises:
        UsageError: The imbalance names an unknown class.
    """
    keep = np.ones(len(pool.truth), dtype=bool)
    held = held_out_rows(plan, pool, seed)
    if held is not None:
        keep[held] = False
    for class_index, share in _shares(plan.imbalance, pool.class_names, seed).items():
        own = np.flatnonzero((pool.truth == class_index) & keep)
        order = numpy_generator(seed, "imbalance", class_index).permutation(len(own))
        keep[own[order[max(1, round(share * len(own))) :]]] = False
    return np.flatnonzero(keep).astype(np.int64)


def absent_at_start(plan: Plan, pool: LabeledPool, seed: int) -> list[int]:
    """Return the classes that the first labels leave out, by index, ascending.

    Raises:
        UsageError: A name is not a class, or no class would be left.
    """
    unknown = [name for name in plan.absent_classes if name not in pool.class_names]
    if unknown:
        raise UsageError(
            f"--absent-classes names {unknown[0]}, which is not a class; classes are "
            f"{', '.join(pool.class_names[:20])}"
        )
    absent = {pool.class_names.index(name) for name in plan.absent_classes}
    others = [k for k in range(len(pool.class_names)) if k not in absent]
    drawn = numpy_generator(seed, "absent classes").permutation(others)[: plan.absent_count]
    absent |= {int(k) for k in drawn}
    if len(absent) == len(pool.class_names) and plan.initial:
        raise UsageError("every class would be absent from the first labels; keep one")
    return sorted(absent)


def first_rows(plan: Plan, truth: Labels, absent: Sequence[int], seed: int) -> Labels:
    """Draw the first labeled rows, of no ``absent`` class, the same for every method of a seed.

    ``truth`` is int64 (N,), the true classes of the seed's pool.

    Raises:
        UsageError: Fewer images than ``initial`` can be drawn.
    """
    allowed = np.flatnonzero(~np.isin(truth, absent))
    if len(allowed) < plan.initial:
        raise UsageError(
            f"{plan.initial} first labels are requested, but only {len(allowed)} are available; "
            "lower --initial"
        )
    order = allowed[numpy_generator(seed, "first labels").permutation(len(allowed))]
    if plan.start == "balanced":
        # The n-th image of each class comes before the n+1-th of any.
        seen: dict[int, int] = {}
        turns: list[int] = []
        for label in truth[order].tolist():
            seen[label] = seen.get(label, 0) + 1
            turns.append(seen[label])
        order = order[np.argsort(turns, kind="stable")]
    return order[: plan.initial].astype(np.int64)


def _labeled(source: Source, plan: Plan) -> tuple[_Images, list[str]]:
    classes, group_of = plan.classes, group_rule(plan.group_by)
    found: _Images = []
    unlabeled = other = 0
    for entry in source.entries():
        if entry.label is None:
            unlabeled += 1
        elif classes and entry.label not in classes:
            other += 1
        else:
            found.append(_Image(entry.id, entry.label, entry.group or group_of(entry.id)))
    if not found:
        raise InputDataError(
            f"{source.spec} has no labels"
            + (f" of {', '.join(classes)}" if other else "")
            + ", so no oracle can answer from it; give class folders, a manifest with labels, "
            "an .npz with y arrays or builtin:digits"
        )
    notes = [f"{unlabeled} images without a label left out"] if unlabeled else []
    return found, notes


def _shape(plan: Plan, source: Source) -> tuple[int, int, Survey | None]:
    """Return the networks' image side and channels, and the survey if one was necessary."""
    size, channels = plan.image_size, plan.channels
    if size and channels:
        return size, channels, None
    seen = survey(source, workers=1)
    config = config_of(plan, Arm(method="random"), seed=0, image_size=8, channels=1)
    side = side_for(config.encoder.source, seen.median_side, limit=config.network.max_image_size)
    return size or side, channels or (3 if seen.is_color else 1), seen


def _subset(found: _Images, count: int, what: str) -> _Images:
    if not count or count >= len(found):
        return found
    kept = numpy_generator("subset", what).permutation(len(found))[:count]
    return [found[int(i)] for i in np.sort(kept)]


def _split(found: _Images, share: float) -> tuple[_Images, _Images]:
    rows = _held_rows(_group_numbers(found), share, numpy_generator("subset", "held out"))
    held = set(rows.tolist())
    return (
        [image for i, image in enumerate(found) if i in held],
        [image for i, image in enumerate(found) if i not in held],
    )


def _group_numbers(images: _Images) -> Labels:
    """Return int64 (n,): the number of each image's group, in the order of their first images."""
    numbers: dict[str | int, int] = {}
    keys = (image.group or row for row, image in enumerate(images))
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.int64)


def _held_rows(groups: Labels, share: float, generator: np.random.Generator) -> Labels:
    """Draw whole groups to hold out: those with about this share of the images, not all groups.

    Raises:
        UsageError: There is only one group.
    """
    sizes = np.bincount(groups)
    if len(sizes) < 2 <= len(groups):
        raise UsageError(
            "all images are of one group, so none can be held out; give --test, or another "
            "--group-by"
        )
    order = generator.permutation(len(sizes))
    taken = np.cumsum(sizes[order])[: max(1, len(sizes) - 1)]
    count = int(np.argmin(np.abs(taken - max(1, round(share * len(groups))))))
    return np.flatnonzero(np.isin(groups, order[: count + 1])).astype(np.int64)


def _shared_groups(found: _Images, held: _Images) -> list[str]:
    """Return a sentence if groups have images both in the pool and in the test images."""
    groups = {image.group for image in found} - {""}
    shared = [image for image in held if image.group in groups]
    if not shared:
        return []
    return [
        f"{len(shared)} test images are of groups that are in the pool too, such as "
        f"{show(shared[0].id)}: accuracy is measured too high"
    ]


def _class_names(plan: Plan, found: _Images, held: _Images) -> list[str]:
    carried = {image.label for image in (*found, *held)}
    names = list(dict.fromkeys(plan.classes)) or sorted(carried, key=natural_order)
    if len({image.label for image in found}) < 2:
        raise InputDataError(f"the pool has only one class, {names[0]}; two are needed")
    return names


def _shares(text: str, names: Sequence[str], seed: int) -> dict[int, float]:
    """Read ``cat=0.1,dog=0.5`` or ``random:3=0.1``."""
    shares: dict[int, float] = {}
    for part in filter(None, text.split(",")):
        name, _, number = part.strip().rpartition("=")
        try:
            share = float(number)
        except ValueError:
            share = -1.0
        if not name or not 0 < share <= 1:
            raise UsageError(
                f"--imbalance {text!r} is not understood; write CLASS=SHARE,... or "
                "random:3=0.1, shares above 0 and at most 1"
            )
        kind, colon, count = name.partition(":")
        if kind == "random" and colon and count.isdecimal() and name not in names:
            drawn = numpy_generator(seed, "rare classes").permutation(len(names))[: int(count)]
            shares |= {int(k): share for k in drawn}
        elif name in names:
            shares[list(names).index(name)] = share
        else:
            raise UsageError(f"--imbalance names {name}, which is not a class")
    return shares

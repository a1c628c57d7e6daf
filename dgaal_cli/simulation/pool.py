"""Images of a simulation with their true labels: the whole pool, and the rows of one seed."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dgaal_cli.data.decoders.base import Rendering
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
_Pairs = list[tuple[SampleId, str]]
"""Images with the names of their classes."""


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
    found, notes = _labeled(source, plan.classes)
    size, channels, seen = _shape(plan, source)
    if seen is not None:
        unreadable = {name for name, _ in seen.unreadable}
        found = [(name, label) for name, label in found if name not in unreadable]
        if unreadable:
            notes.append(f"{len(unreadable)} unreadable images left out")
        if seen.range.note:
            notes.append(seen.range.note)
        if note := stretch_note(seen.sizes(), size):
            notes.append(note)
    found = _subset(found, plan.pool_size, "pool")
    if plan.test:
        test_source = open_source(plan.test, base=Path.cwd())
        held, more = _labeled(test_source, plan.classes)
        notes += [f"test: {note}" for note in more]
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

    def pixels(of: Source, rows: _Pairs) -> Pixels:
        ids = [name for name, _ in rows]
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
        (source, [name for name, _ in found]),
        (test_source, [name for name, _ in held]),
        cache=None if cache is None else cache / "features",
    )
    missing = sorted(set(names) - {label for _, label in found}, key=names.index)
    if missing:
        notes.append(f"no image of the pool shows {show(', '.join(missing[:5]))}")
    return LabeledPool(
        ids=[name for name, _ in found],
        pixels=pixels(source, found),
        truth=np.array([index[label] for _, label in found], dtype=np.int64),
        class_names=names,
        test_pixels=pixels(test_source, held),
        test_labels=np.array([index[label] for _, label in held], dtype=np.int64),
        notes=tuple(notes),
        features=features,
    )


def held_out_rows(plan: Plan, pool: LabeledPool, seed: int) -> Labels | None:
    """Return the pool's rows to measure on with this seed; None measures on the test images."""
    if plan.test or not plan.new_test:
        return None
    order = numpy_generator(seed, "held out").permutation(len(pool.truth))
    return np.sort(order[: _share_of(len(pool.truth), plan.test_share)])


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


def _labeled(source: Source, classes: Sequence[str]) -> tuple[_Pairs, list[str]]:
    found: _Pairs = []
    unlabeled = other = 0
    for entry in source.entries():
        if entry.label is None:
            unlabeled += 1
        elif classes and entry.label not in classes:
            other += 1
        else:
            found.append((entry.id, entry.label))
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


def _subset(found: _Pairs, count: int, what: str) -> _Pairs:
    if not count or count >= len(found):
        return found
    kept = numpy_generator("subset", what).permutation(len(found))[:count]
    return [found[int(i)] for i in np.sort(kept)]


def _split(found: _Pairs, share: float) -> tuple[_Pairs, _Pairs]:
    order = numpy_generator("subset", "held out").permutation(len(found))
    held = {int(i) for i in order[: _share_of(len(found), share)]}
    return (
        [pair for i, pair in enumerate(found) if i in held],
        [pair for i, pair in enumerate(found) if i not in held],
    )


def _share_of(count: int, share: float) -> int:
    return max(1, round(share * count))


def _class_names(plan: Plan, found: _Pairs, held: _Pairs) -> list[str]:
    carried = {label for _, label in (*found, *held)}
    names = list(dict.fromkeys(plan.classes)) or sorted(carried, key=natural_order)
    if len({label for _, label in found}) < 2:
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

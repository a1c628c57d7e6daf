"""The source of labeled images on which accuracy is measured: checked once, read in each round."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dgaal_cli.config.schema import Config
from dgaal_cli.data.grouping import GroupOf
from dgaal_cli.data.images import Pixels
from dgaal_cli.data.pool import ChangedPoolError, Survey, load_pixels, survey
from dgaal_cli.data.sample_range import rendering_of
from dgaal_cli.data.sources import Source, open_source
from dgaal_cli.data.sources.class_map import MappedSource, read_class_map
from dgaal_cli.errors import InputDataError
from dgaal_cli.escaping import show
from dgaal_cli.events import Emit, Warned
from dgaal_cli.features.cache import CachedRows
from dgaal_cli.ids import SampleId
from dgaal_cli.rounds.pool_features import FeatureReader
from dgaal_cli.store.records import ClassRecord
from dgaal_cli.tasks.registry import load_task
from dgaal_cli.workspace import Workspace

_NAMED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class TestReport:
    """What a look at the test images found."""

    images: int
    """Labeled images that can be read."""
    unlabeled: int
    """Readable images without a label, which are not used."""
    unreadable: tuple[tuple[SampleId, str], ...]
    """Id and reason of each."""
    leaked: tuple[SampleId, ...]
    """Test images whose bytes are in the pool as well."""
    shared_groups: tuple[SampleId, ...] = ()
    """Test images whose group has images in the pool, such as others of the same patient."""


def check_test_source(
    source: Source, pool: Survey, classes: Collection[str], group_of: GroupOf, emit: Emit
) -> TestReport:
    """Read all test images once.

    Args:
        source: The test source.
        pool: Survey of the pool.
        classes: Names of the classes; empty if they are not known yet.
        group_of: The rule for groups of images for which the source names none.
        emit: Listener for progress.

    Raises:
        InputDataError: The source has no readable image, no labels, or labels that are not classes.
    """
    found = survey(source, group_of=group_of, emit=emit)
    labels = {item.label for item in found.items if item.label is not None}
    check_test_labels(source.spec, labels, classes or labels)
    contents = {item.sha256 for item in pool.items}
    groups = {item.group for item in pool.items} - {""}
    labeled = sum(item.label is not None for item in found.items)
    return TestReport(
        images=labeled,
        unlabeled=len(found.items) - labeled,
        unreadable=found.unreadable,
        leaked=tuple(item.id for item in found.items if item.sha256 in contents),
        shared_groups=tuple(item.id for item in found.items if item.group in groups),
    )


def check_test_labels(spec: str, labels: Collection[str], classes: Collection[str]) -> None:
    """Check that test images have labels, and that all of them are classes.

    Raises:
        InputDataError: They are not.
    """
    if not labels:
        raise InputDataError(
            f"the test source {spec} has no labels, so it cannot be measured on; "
            "give class folders, a manifest with labels or an .npz with y arrays"
        )
    if unknown := sorted(set(labels) - set(classes)):
        raise InputDataError(
            f"the test source has labels that are not classes here: {', '.join(unknown[:5])}; "
            f"classes are {', '.join(classes)}"
        )


def read_test_images(
    workspace: Workspace,
    config: Config,
    classes: Sequence[ClassRecord],
    reader: FeatureReader | None,
    emit: Emit,
) -> tuple[np.ndarray | CachedRows, list[Any]] | None:
    """Return pixels or features of the test images and the target of each; None without any.

    Args:
        workspace: Workspace of the configuration.
        config: Configuration; ``pool.test`` is the source.
        classes: Classes in use, in order.
        reader: Reads features; None reads pixels.
        emit: Listener for warnings.

    Raises:
        InputDataError: The source has no labels, unknown classes, or no readable image.
    """
    if not config.pool.test:
        return None
    source = open_source(config.pool.test, base=workspace.root)
    if config.pool.class_map:
        source = MappedSource(source, read_class_map(workspace.root / config.pool.class_map))
    uid_of = {record.name: record.uid for record in classes}
    labels = {entry.id: entry.label for entry in source.entries() if entry.label is not None}
    check_test_labels(config.pool.test, set(labels.values()), uid_of)
    ids = [*labels]
    if reader is None:
        ids, tested = readable_pixels(workspace, config, source, ids, emit)
    else:
        ids, tested = readable_features(reader, source, ids)
    kind, index_of = load_task(config.task), {c.uid: index for index, c in enumerate(classes)}
    texts = (kind.text.from_text([labels[name]], lambda names: uid_of[names[0]]) for name in ids)
    return tested, [kind.labels.target(label, index_of) for label in texts]


def readable_pixels(
    workspace: Workspace, config: Config, source: Source, ids: Sequence[SampleId], emit: Emit
) -> tuple[list[SampleId], Pixels]:
    """Return the test images that can be read, and their pixels; warn of the others.

    Raises:
        InputDataError: No image can be read.
    """
    lost: dict[SampleId, str] = {}
    while rest := [name for name in ids if name not in lost]:
        try:
            pixels = load_pixels(
                source,
                rest,
                size=config.pool.image_size,
                channels=config.pool.channels,
                cache=workspace.cache_path,
                workers=config.threads,
                rendering=rendering_of(config.pool),
            )
        except ChangedPoolError as error:
            lost |= {each.id: each.detail or each.kind for each in error.differences}
            continue
        _tell_lost(lost, emit)
        return rest, pixels
    raise _nothing_left(config.pool.test)


def readable_features(
    reader: FeatureReader, source: Source, ids: Sequence[SampleId]
) -> tuple[list[SampleId], CachedRows]:
    """Return the test images that can be encoded, and their features; warn of the others.

    Raises:
        InputDataError: No image can be encoded.
    """
    rows, lost = reader.of_entries([source.get(name) for name in ids])
    if not len(rows):
        raise _nothing_left(reader.config.pool.test)
    _tell_lost(lost, reader.emit)
    return [name for name in ids if name not in lost], rows


def _nothing_left(spec: str) -> InputDataError:
    return InputDataError(
        f"no image of the test source {show(spec)} can be read; "
        'correct pool.test in dgaal.toml, or set it to ""'
    )


def _tell_lost(lost: dict[SampleId, str], emit: Emit) -> None:
    if not lost:
        return
    names = [f"{show(name)} ({show(why)})" for name, why in [*lost.items()][:_NAMED]]
    more = ", ..." if len(lost) > _NAMED else ""
    count = f"{len(lost)} test image{'s' if len(lost) > 1 else ''}"
    emit(Warned(message=f"left out {count} that cannot be read: {', '.join(names)}{more}"))

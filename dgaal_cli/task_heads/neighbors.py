"""The nearest neighbors of each of N points, never with an N x N matrix in memory.

Up to ``MAX_EXACT`` points all distances are computed. For more, candidates come from random
projection trees, whose leaves all have the same size, also where many points are equal, and then
from the neighbors of the neighbors found so far.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from dgaal_cli.features.kernel import Ids, squared_distances
from dgaal_cli.task_heads.components import Points

Neighbors = npt.NDArray[np.int32]
"""(N, k): positions, the nearest first; never the point itself."""
MAX_EXACT = 50_000
"""Points up to which the neighbors are exact."""
_TREES = 4
_LEAF = 512
"""Max. points in a leaf of a tree."""
_EXPLORATIONS = 2
_BLOCK_VALUES = 2**23
"""Distances in memory at once: 32 MB."""


def nearest(points: Points, count: int) -> tuple[Neighbors, Points]:
    """Find the neighbors of each point.

    Args:
        points: (N, d).
        count: Neighbors k of each point; N - 1 if there are fewer.

    Returns:
        Neighbors (N, k), and their squared distances (N, k).
    """
    count = min(count, len(points) - 1)
    return exact(points, count) if len(points) <= MAX_EXACT else approximate(points, count)


def exact(points: Points, count: int) -> tuple[Neighbors, Points]:
    """Find the neighbors by all distances; see ``nearest``, ``count`` is at most N - 1."""
    found = _empty(points, count)
    for part in _parts(len(points), len(points)):
        squared = squared_distances(points[part], points)
        squared[np.arange(part.stop - part.start), np.arange(part.start, part.stop)] = np.inf
        found[0][part], found[1][part] = _smallest(squared, count)
    return found


def approximate(points: Points, count: int, *, seed: int = 0) -> tuple[Neighbors, Points]:
    """Find most of the neighbors in N log N time; see ``nearest``, ``count`` is at most N - 1."""
    generator = np.random.default_rng(seed)
    found = _empty(points, count)
    for _ in range(_TREES):
        for leaf in _leaves(points, np.arange(len(points)), generator):
            _search_leaf(points, leaf, found)
    for _ in range(_EXPLORATIONS):
        found = _explored(points, found)
    return found


def nearest_in(queries: Points, points: Points, count: int) -> tuple[Neighbors, Points]:
    """Find the neighbors among ``points`` of other points (n, d); the results are (n, count)."""
    found = _empty(queries, min(count, len(points)))
    for part in _parts(len(queries), len(points)):
        squared = squared_distances(queries[part], points)
        found[0][part], found[1][part] = _smallest(squared, found[0].shape[1])
    return found


def _search_leaf(points: Points, leaf: Ids, found: tuple[Neighbors, Points]) -> None:
    """Improve the neighbors of the points of a leaf by the other points in it."""
    squared = squared_distances(points[leaf], points[leaf])
    np.fill_diagonal(squared, np.inf)
    inside, distances = _smallest(squared, min(found[0].shape[1], len(leaf) - 1))
    candidates = np.hstack([found[0][leaf], leaf.astype(np.int32)[inside]])
    distances = np.hstack([found[1][leaf], distances])
    found[0][leaf], found[1][leaf] = _best_different(candidates, distances, found[0].shape[1])


def _explored(points: Points, found: tuple[Neighbors, Points]) -> tuple[Neighbors, Points]:
    """Return better neighbors: the best of the neighbors and their neighbors."""
    count = found[0].shape[1]
    better = _empty(points, count)
    for part in _parts(len(points), count * (count + 1) * points.shape[1]):
        own = found[0][part]
        candidates = np.hstack([own, found[0][own].reshape(len(own), -1)])
        gaps = points[candidates] - points[part][:, None]
        squared = np.einsum("nkd,nkd->nk", gaps, gaps)
        squared[candidates == np.arange(part.start, part.stop)[:, None]] = np.inf
        better[0][part], better[1][part] = _best_different(candidates, squared, count)
    return better


def _leaves(points: Points, which: Ids, generator: np.random.Generator) -> Iterator[Ids]:
    """Halve the points by a random direction until the parts are small."""
    if len(which) <= _LEAF:
        yield which
        return
    ends = points[which[generator.choice(len(which), 2, replace=False)]]
    direction: Points = np.diff(ends, axis=0)
    if not direction.any():
        direction = generator.standard_normal((1, points.shape[1])).astype(np.float32)
    heights: Points = np.einsum("nd,kd->n", points[which], direction)
    order = np.argpartition(heights, len(which) // 2)
    for half in (order[: len(which) // 2], order[len(which) // 2 :]):
        yield from _leaves(points, which[half], generator)


def _best_different(candidates: Neighbors, squared: Points, count: int) -> tuple[Neighbors, Points]:
    """Return the ``count`` nearest candidates of each row, each candidate once."""
    order = np.argsort(candidates, axis=1, kind="stable")
    candidates = np.take_along_axis(candidates, order, axis=1)
    squared = np.take_along_axis(squared, order, axis=1)
    squared[:, 1:][candidates[:, 1:] == candidates[:, :-1]] = np.inf
    chosen, distances = _smallest(squared, count)
    return np.take_along_axis(candidates, chosen, axis=1), distances


def _smallest(squared: Points, count: int) -> tuple[Neighbors, Points]:
    """Return columns and values of the ``count`` smallest values of each row, in order."""
    if count < squared.shape[1]:
        columns = np.argpartition(squared, count, axis=1)[:, :count]
    else:
        columns = np.broadcast_to(np.arange(count), (len(squared), count))
    values = np.take_along_axis(squared, columns, axis=1)
    order = np.argsort(values, axis=1, kind="stable")
    columns = np.take_along_axis(columns, order, axis=1).astype(np.int32)
    return columns, np.take_along_axis(values, order, axis=1)


def _empty(points: Points, count: int) -> tuple[Neighbors, Points]:
    """Return no neighbors: the first point, infinitely far."""
    shape = (len(points), count)
    return np.zeros(shape, np.int32), np.full(shape, np.inf, np.float32)


def _parts(count: int, values: int) -> Iterator[slice]:
    """Yield slices of ``count`` rows that need ``values`` numbers each."""
    step = max(1, _BLOCK_VALUES // max(values, 1))
    return (slice(start, min(start + step, count)) for start in range(0, count, step))

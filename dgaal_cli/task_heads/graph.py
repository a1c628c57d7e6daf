"""The neighbor graph of a pool: built once with the features, used by every round."""

from dataclasses import dataclass

import numpy as np

from dgaal_cli.features.kernel import FeatureRows
from dgaal_cli.task_heads.affinity import Affinity
from dgaal_cli.task_heads.components import Components, Points, fit_components
from dgaal_cli.task_heads.neighbors import Neighbors, nearest, nearest_in

STORED_NEIGHBORS = 20
"""Neighbors of each image that a graph keeps; a smaller number can be used."""
COMPONENTS = 256
"""Components that a graph keeps for heads; neighbors are compared by the first ``WIDTH``."""
WIDTH = 64


@dataclass(frozen=True, slots=True, eq=False)
class NeighborGraph:
    """The neighbors of N images by the cosine of principal components of standardized features."""

    components: Components
    points: Points
    """(N, 64): rows of length 1, so that the nearest by distance is the nearest by cosine."""
    neighbors: Neighbors
    """(N, k): the nearest first."""

    def __len__(self) -> int:
        """Return the number of images N."""
        return len(self.points)

    def affinity(self, count: int) -> Affinity:
        """Return the normalized affinity by the ``count`` nearest neighbors."""
        return Affinity(self.neighbors[:, :count])

    def project(self, rows: FeatureRows, width: int = WIDTH) -> Points:
        """Map features (n, D) to the first components (n, width), scaled to length 1."""
        return _unit(self.components(rows, width))

    def locate(self, rows: FeatureRows, count: int) -> Neighbors:
        """Return the neighbors (n, count) in the pool of features (n, D) of other images."""
        return nearest_in(self.project(rows), self.points, count)[0]


def build_graph(rows: FeatureRows) -> NeighborGraph:
    """Build the graph of features (N, D), N >= 1.

    Up to 50,000 images all distances are computed; for more, most neighbors are found
    (see ``neighbors.approximate``).
    """
    components = fit_components(rows, COMPONENTS)
    points = _unit(components(rows, WIDTH))
    return NeighborGraph(components, points, nearest(points, STORED_NEIGHBORS)[0])


def _unit(points: Points) -> Points:
    lengths = np.linalg.norm(points, axis=1, keepdims=True)
    return np.divide(points, lengths, out=np.zeros_like(points), where=lengths > 0)

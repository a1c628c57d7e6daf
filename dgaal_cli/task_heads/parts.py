"""The parts of a fitted model: each gives calibrated probabilities of images."""

from dataclasses import dataclass

import numpy as np

from dgaal_cli.features.kernel import FeatureRows, Floats, blocks
from dgaal_cli.task_heads.calibration import sharpened
from dgaal_cli.task_heads.folds import GraphKind, HeadKind
from dgaal_cli.task_heads.graph import WIDTH, NeighborGraph
from dgaal_cli.task_heads.logistic import LinearHead, softmax
from dgaal_cli.task_heads.spreading import Spread


@dataclass(frozen=True, slots=True, eq=False)
class GraphPart:
    """Answers by what was spread to an image, or to its neighbors if it is not in the pool."""

    graph: NeighborGraph
    kind: GraphKind
    spread: Spread
    temperature: float

    def of_pool(self, _rows: FeatureRows) -> Floats:
        """Return probabilities (N, C) of the pool."""
        return sharpened(self.spread.probabilities(), self.temperature)

    def of(self, rows: FeatureRows) -> Floats:
        """Return probabilities (n, C) of any images: the mean of their neighbors."""
        neighbors = self.graph.locate(rows, self.kind.neighbors)
        means = self.spread.probabilities()[neighbors].mean(axis=1)
        return sharpened(means, self.temperature)


@dataclass(frozen=True, slots=True, eq=False)
class HeadPart:
    """Answers by a linear head on the components of the features."""

    graph: NeighborGraph
    kind: HeadKind
    head: LinearHead
    temperature: float

    def of_pool(self, rows: FeatureRows) -> Floats:
        """Return probabilities (N, C) of the pool, whose features are given."""
        if self.kind.width == WIDTH:
            return self._answers(scaled(self.graph.points))
        return self.of(rows)

    def of(self, rows: FeatureRows) -> Floats:
        """Return probabilities (n, C) of any images."""
        found = np.empty((len(rows), len(self.head.bias)))
        for part in blocks(len(rows)):
            found[part] = self._answers(head_rows(self.graph, rows[part], self.kind.width))
        return found

    def _answers(self, rows: Floats) -> Floats:
        return sharpened(softmax(self.head.logits(rows)), self.temperature)


def head_rows(graph: NeighborGraph, rows: FeatureRows, width: int) -> Floats:
    """Return what a head sees of features (n, D): float64 (n, width), mean square 1."""
    return scaled(graph.project(rows, width))


def scaled(points: np.ndarray) -> Floats:
    """Scale points of length 1, so that the mean square of their numbers is 1."""
    return points.astype(np.float64) * np.sqrt(points.shape[1])

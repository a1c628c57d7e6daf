"""The task model on features: the pool's graph, a linear head or their mixture.

With few labels the graph is more often right, with many the head. Unless one of them is asked for,
the lowest loss on labels that are held out in folds decides; with too few labels for that the graph
is used.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from dgaal_cli.config.schema import Head
from dgaal_cli.features.kernel import FeatureRows, Floats, Ids
from dgaal_cli.task_heads.calibration import (
    expected_calibration_error,
    fit_temperature,
    losses,
    sharpened,
)
from dgaal_cli.task_heads.folds import (
    GraphKind,
    HeadKind,
    Labels,
    head_folds,
    labels_of,
    spread_folds,
)
from dgaal_cli.task_heads.graph import NeighborGraph, build_graph
from dgaal_cli.task_heads.logistic import LinearHead, fit_logistic, in_own_span
from dgaal_cli.task_heads.parts import GraphPart, HeadPart, head_rows

if TYPE_CHECKING:
    from dgaal_cli.task_heads.spreading import Spread

_USUAL = GraphKind(neighbors=12, alpha=0.9)
_GRAPHS = (_USUAL, GraphKind(neighbors=12, alpha=0.5), GraphKind(neighbors=6, alpha=0.5))
_WIDTHS = (64, 256)
_PENALTIES = (0.1, 1.0, 10.0)
_UNTESTED = HeadKind(width=256, c=1.0)
"""The head if no label can be held out."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HeldOut:
    """How well held-out labels were predicted by the chosen model."""

    count: int
    """Number m of held-out labels."""
    positions: Ids
    """(m,): their rows in the pool."""
    predicted: Floats
    """(m, C): calibrated probabilities by models that did not see the label."""
    accuracy: float
    """Share of right predictions, 0..1; each class counts the same."""
    calibration_error: float
    """Expected calibration error, 0..1, with the chosen temperature."""


@dataclass(frozen=True, slots=True, eq=False)
class FeatureModel:
    """A fitted task model."""

    parts: Sequence[GraphPart | HeadPart]
    note: str
    """Which model it is and why, one sentence."""
    held_out: HeldOut | None
    """None if there were too few labels to hold some out."""
    features: FeatureRows
    """(N, D) of the pool."""
    graph: NeighborGraph
    """Of the pool."""

    def probabilities(self, rows: FeatureRows) -> Floats:
        """Return probabilities (n, C) of images with features (n, D), in the pool or not."""
        return _mean([part.of(rows) for part in self.parts])

    def pool_probabilities(self) -> Floats:
        """Return probabilities (N, C) of the pool."""
        return _mean([part.of_pool(self.features) for part in self.parts])


@dataclass(frozen=True, slots=True, eq=False)
class _Candidate:
    """A kind of model, and its calibrated predictions of held-out labels."""

    kinds: tuple[GraphKind | HeadKind, ...]
    temperatures: tuple[float, ...]
    predicted: Floats
    """(m, C)."""
    losses: Floats
    """(m,)."""


def fit(
    features: FeatureRows,
    labels: npt.NDArray[np.integer],
    class_count: int,
    *,
    groups: npt.NDArray[np.integer] | None = None,
    graph: NeighborGraph | None = None,
    head: Head = "auto",
) -> FeatureModel:
    """Fit a task model to the labels of a pool.

    Args:
        features: Features (N, D) of the pool.
        labels: Class of each image, (N,); -1 where it has no label. At least one has a label.
        class_count: Number of classes C.
        groups: Group of each image, (N,), which is held out as a whole; None: no groups.
        graph: Graph of the pool; None builds it.
        head: Kind of model, as ``classifier.head``.

    Raises:
        ValueError: No image has a label.
    """
    known = labels_of(labels, class_count, groups)
    if not len(known.positions):
        raise ValueError("a task model needs at least one label")
    return _Fitting(features, known, graph or build_graph(features), head).run()


class _Fitting:
    """What the steps of a fit share."""

    def __init__(
        self, features: FeatureRows, labels: Labels, graph: NeighborGraph, head: Head
    ) -> None:
        self._features, self._labels, self._graph, self._head = features, labels, graph, head
        held = labels.held_out
        self._truth = labels.classes[held]
        self._weights = _class_weights(self._truth)
        self._spreads: dict[GraphKind, Spread] = {}
        self._rows: dict[int, Floats] = {}

    def run(self) -> FeatureModel:
        if not self._labels.has_folds:
            return self._untested()
        bests: list[_Candidate] = []
        if self._head != "linear":
            bests.append(self._best([self._graph_candidate(kind) for kind in _GRAPHS]))
        if self._head != "graph":
            bests.append(self._best([*self._head_candidates()]))
        both = [_mixture(bests[0], bests[1], self._truth)] if len(bests) == 2 else []
        chosen = self._best([*bests, *both])
        held_out = HeldOut(
            count=len(self._truth),
            positions=self._labels.positions[self._labels.held_out],
            predicted=chosen.predicted,
            accuracy=float(self._weights @ (chosen.predicted.argmax(axis=1) == self._truth)),
            calibration_error=expected_calibration_error(chosen.predicted, self._truth),
        )
        note = _note(chosen, bests, self._weights)
        return self._model(chosen.kinds, chosen.temperatures, note, held_out)

    def _untested(self) -> FeatureModel:
        """Fit the usual kind, because no label can be held out."""
        kind, what = _USUAL, "labels are spread over the neighbor graph, because"
        if self._head == "linear":
            kind, what = _UNTESTED, "the model is a head with the usual penalty, because"
            labeled = self._features[self._labels.positions]
            self._rows[kind.width] = head_rows(self._graph, labeled, kind.width)
        else:
            self._spreads[_USUAL] = spread_folds(self._graph, _USUAL, self._labels)[0]
        few = "fewer than two classes have two labels, not of one group, so none can be held out"
        note = f"{what} {few}"
        return self._model((kind,), (1.0,), note, None)

    def _graph_candidate(self, kind: GraphKind) -> _Candidate:
        self._spreads[kind], predicted = spread_folds(self._graph, kind, self._labels)
        return self._candidate(kind, predicted)

    def _head_candidates(self) -> Iterator[_Candidate]:
        for width in _WIDTHS:
            labeled = self._features[self._labels.positions]
            self._rows[width] = head_rows(self._graph, labeled, width)
            rows = in_own_span(self._rows[width])
            starts: dict[int, LinearHead] = {}
            for c in _PENALTIES:
                kind = HeadKind(width, c)
                yield self._candidate(kind, head_folds(rows, kind, self._labels, starts))

    def _candidate(self, kind: GraphKind | HeadKind, predicted: Floats) -> _Candidate:
        temperature = fit_temperature(predicted, self._truth, self._weights)
        predicted = sharpened(predicted, temperature)
        return _Candidate((kind,), (temperature,), predicted, losses(predicted, self._truth))

    def _best(self, candidates: Sequence[_Candidate]) -> _Candidate:
        return min(candidates, key=lambda candidate: float(self._weights @ candidate.losses))

    def _model(
        self,
        kinds: Sequence[GraphKind | HeadKind],
        temperatures: Sequence[float],
        note: str,
        held_out: HeldOut | None,
    ) -> FeatureModel:
        parts = [self._part(*each) for each in zip(kinds, temperatures, strict=True)]
        return FeatureModel(parts, note, held_out, self._features, self._graph)

    def _part(self, kind: GraphKind | HeadKind, temperature: float) -> GraphPart | HeadPart:
        if isinstance(kind, GraphKind):
            return GraphPart(self._graph, kind, self._spreads[kind], temperature)
        head = fit_logistic(self._rows[kind.width], self._labels.targets(), kind.c)
        return HeadPart(self._graph, kind, head, temperature)


def _mixture(graph: _Candidate, head: _Candidate, truth: Ids) -> _Candidate:
    """Return the mean of two models."""
    predicted = _mean([graph.predicted, head.predicted])
    kinds, temperatures = graph.kinds + head.kinds, graph.temperatures + head.temperatures
    return _Candidate(kinds, temperatures, predicted, losses(predicted, truth))


def _class_weights(labels: Ids) -> Floats:
    """Return weights (m,) with sum 1, the same sum for each class."""
    weights = 1 / np.maximum(np.bincount(labels), 1)[labels]
    return weights / weights.sum()


def _mean(probabilities: Sequence[Floats]) -> Floats:
    return np.mean(probabilities, axis=0)


def _note(chosen: _Candidate, compared: Sequence[_Candidate], weights: Floats) -> str:
    def loss(candidate: _Candidate) -> str:
        return f"{float(weights @ candidate.losses):.2f}"

    names = ["the neighbor graph" if isinstance(x, GraphKind) else "a head" for x in chosen.kinds]
    found = f"the model is {' and '.join(names)}, with a loss of {loss(chosen)} on held-out labels"
    if len(compared) < 2:
        return found
    graph, head = compared
    return f"{found} (graph {loss(graph)}, head {loss(head)})"

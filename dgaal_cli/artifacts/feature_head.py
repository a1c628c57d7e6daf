"""What an exported file computes from an encoder's features, in numpy and as ONNX operations.

The numpy form is the reference that the file is compared with.
"""

from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from dgaal_cli.features.herding import LandmarkScore
from dgaal_cli.features.kernel import Floats, squared_distances
from dgaal_cli.task_heads.distill import DistilledHead
from dgaal_cli.task_heads.logistic import softmax
from exporters import onnx_wire
from exporters.compose import ComposedGraph

LANDMARKS = "landmarks_"
"""Before the names of the constants of a score by landmarks."""
_ABSENT = -1e4
"""Logit of a class without labels: finite, and its probability is 0."""
_TINY = 1e-12

Outputs = dict[str, npt.NDArray[np.float32]]


class Score(Protocol):
    """A score of each image; higher = ask first."""

    def of(self, features: Floats, probabilities: Floats) -> Floats:
        """Return the scores (n,) for features (n, D) and probabilities (n, C)."""
        ...

    def add_to(self, graph: ComposedGraph, features: str, probabilities: str) -> str:
        """Add the operations; return the tensor of the scores ``(N, 1)``."""
        ...


@dataclass(frozen=True, slots=True)
class DoubtScore:
    """A score of the task model's probabilities alone."""

    kind: Literal["margin", "entropy", "least-confidence"]
    classes: int

    def of(self, features: Floats, probabilities: Floats) -> Floats:  # noqa: ARG002
        """See ``Score``; the entropy is in nats."""
        if self.kind == "entropy":
            logs = np.log(np.maximum(probabilities, _TINY))
            return -(probabilities * logs).sum(axis=1)
        highest = np.partition(probabilities, -2, axis=1)[:, -2:]
        other = highest[:, 0] if self.kind == "margin" else 0.0
        return 1.0 - highest[:, 1] + other

    def add_to(self, graph: ComposedGraph, features: str, probabilities: str) -> str:  # noqa: ARG002
        """See ``Score``."""
        if self.kind == "entropy":
            floor = graph.constant(_TINY)
            logs = graph.after("Log", graph.after("Max", probabilities, floor))
            return graph.after(
                "Neg", _sum(graph, graph.after("Mul", probabilities, logs), self.classes)
            )
        two = graph.constant([2], np.int64)
        highest = graph.after("TopK", probabilities, two)
        signs = [[1.0], [-1.0 if self.kind == "margin" else 0.0]]
        certain = graph.after("MatMul", highest, graph.constant(signs))
        return graph.after("Sub", graph.constant(1.0), certain)


@dataclass(frozen=True, slots=True, eq=False)
class Standardization:
    """Features less their mean, divided by their deviation over the pool."""

    mean: Floats
    """(D,)."""
    deviation: Floats
    """(D,), above 0."""

    def of(self, features: Floats) -> Floats:
        """Standardize features (n, D)."""
        return (features - self.mean) / self.deviation

    def add_to(self, graph: ComposedGraph, features: str) -> str:
        """Add the operations; return the tensor of the standardized features."""
        mean = graph.constant(self.mean, name=f"{LANDMARKS}mean")
        rows = graph.after("Sub", features, mean)
        deviation = graph.constant(self.deviation, name=f"{LANDMARKS}deviation")
        return graph.after("Div", rows, deviation)


@dataclass(frozen=True, slots=True, eq=False)
class DistanceScore:
    """How far an image is from the labeled ones (core-set).

    The mean squared difference of the standardized features to the nearest labeled image; it ranks
    as the distance does.
    """

    standardization: Standardization
    centers: Floats
    """(L, D): standardized features of the labeled images."""

    def of(self, features: Floats, probabilities: Floats) -> Floats:  # noqa: ARG002
        """See ``Score``."""
        squared = squared_distances(self.standardization.of(features), self.centers)
        return squared.min(axis=1) / self.centers.shape[1]

    def add_to(self, graph: ComposedGraph, features: str, probabilities: str) -> str:  # noqa: ARG002
        """See ``Score``."""
        width = self.centers.shape[1]
        rows = self.standardization.add_to(graph, features)
        doubled = graph.constant(2 * self.centers.T)
        near = graph.after("MatMul", rows, doubled)
        near = graph.after("Sub", near, graph.constant((self.centers**2).sum(axis=1)[None]))
        nearest = graph.after("TopK", near, graph.constant([1], np.int64))
        squares = _sum(graph, graph.after("Mul", rows, rows), width)
        squared = graph.after("Relu", graph.after("Sub", squares, nearest))
        return graph.after("Div", squared, graph.constant(float(width)))


@dataclass(frozen=True, slots=True, eq=False)
class GradientScore:
    """Length of BADGE's gradient ``(p - e_argmax) x h`` for standardized features h (n, D).

    It is divided by the square root of D.
    """

    standardization: Standardization
    classes: int

    def of(self, features: Floats, probabilities: Floats) -> Floats:
        """See ``Score``."""
        rows = self.standardization.of(features)
        highest = probabilities.max(axis=1)
        squares = (probabilities**2).sum(axis=1) - highest**2 + (1 - highest) ** 2
        return np.sqrt(np.maximum(squares, 0.0) * (rows**2).mean(axis=1))

    def add_to(self, graph: ComposedGraph, features: str, probabilities: str) -> str:
        """See ``Score``."""
        rows = self.standardization.add_to(graph, features)
        width = len(self.standardization.mean)
        highest = graph.after("TopK", probabilities, graph.constant([1], np.int64))
        other = graph.after("Sub", graph.constant(1.0), highest)
        squares = _sum(graph, graph.after("Mul", probabilities, probabilities), self.classes)
        squares = graph.after("Sub", squares, graph.after("Mul", highest, highest))
        squares = graph.after("Add", squares, graph.after("Mul", other, other))
        lengths = _sum(graph, graph.after("Mul", rows, rows), width)
        lengths = graph.after("Div", lengths, graph.constant(float(width)))
        product = graph.after("Relu", graph.after("Mul", squares, lengths))
        return graph.after("Sqrt", product)


@dataclass(frozen=True, slots=True, eq=False)
class CoverageScore:
    """What an image is worth to a rule that compares features: see ``LandmarkScore``."""

    standardization: Standardization
    """Of the features, which are then scaled to length 1."""
    landmarks: LandmarkScore

    def of(self, features: Floats, probabilities: Floats) -> Floats:  # noqa: ARG002
        """See ``Score``."""
        return self.landmarks(_unit(self.standardization.of(features)))

    def values(self, features: Floats) -> Floats:
        """Return the kernel's values (n, L) of features (n, D) to the landmarks."""
        rows, own = _unit(self.standardization.of(features)), self.landmarks
        return np.exp(squared_distances(rows, own.points) * (-0.5 / own.width**2))

    def add_to(self, graph: ComposedGraph, features: str, probabilities: str) -> str:  # noqa: ARG002
        """See ``Score``."""
        own, points = self.landmarks, self.landmarks.points
        rows = self.standardization.add_to(graph, features)
        rows = _added_unit(graph, rows, points.shape[1])
        columns = graph.constant(points.T, name=f"{LANDMARKS}points")
        products = graph.after("MatMul", rows, columns)
        squares = _sum(graph, graph.after("Mul", rows, rows), points.shape[1])
        squares = graph.after("Add", squares, graph.constant((points**2).sum(axis=1)[None]))
        doubled = graph.after("Add", products, products)
        distances = graph.after("Relu", graph.after("Sub", squares, doubled))
        scale = graph.constant(-0.5 / own.width**2, name=f"{LANDMARKS}scale")
        values = graph.after("Exp", graph.after("Mul", distances, scale))
        floors = graph.constant(own.floors[None], name=f"{LANDMARKS}floors")
        above = graph.after("Relu", graph.after("Sub", values, floors))
        weights = graph.constant(own.weights[:, None], name=f"{LANDMARKS}weights")
        return graph.after("MatMul", above, weights)


def read_coverage(model: bytes) -> CoverageScore | None:
    """Return the ``CoverageScore`` in an exported model; None if its score is another one.

    The critic, some of whose weights are below zero, is not a coverage.
    """
    found = {
        name.removeprefix(LANDMARKS): np.frombuffer(raw, np.float32).astype(np.float64)
        for name, raw in onnx_wire.constants(model, LANDMARKS).items()
        if len(raw) % 4 == 0
    }
    names = ("mean", "deviation", "points", "scale", "floors", "weights")
    if any(name not in found for name in names):
        return None
    width, count = len(found["mean"]), len(found["weights"])
    is_whole = len(found["points"]) == width * count and len(found["scale"]) == 1
    if not is_whole or len(found["floors"]) != count or found["weights"].min(initial=0.0) < 0:
        return None
    return CoverageScore(
        Standardization(found["mean"], found["deviation"]),
        LandmarkScore(
            found["points"].reshape(width, count).T,
            float(np.sqrt(-0.5 / found["scale"][0])),
            found["weights"],
            found["floors"],
        ),
    )


@dataclass(frozen=True, slots=True, eq=False)
class FeatureHead:
    """A distilled task model, and the score of a sampler if there is one."""

    distilled: DistilledHead
    score: Score | None

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.distilled.head.bias)

    def run(self, features: npt.NDArray[Any]) -> Outputs:
        """Compute the outputs for features (n, D)."""
        rows = features.astype(np.float64)
        own, head = self.distilled.components, self.distilled.head
        points = _unit((rows - own.center) @ own.axes[:, : len(head.weights)])
        logits = np.sqrt(len(head.weights)) * points @ head.weights + self._bias
        probabilities = softmax(logits)
        found = {"probabilities": probabilities}
        if self.score is None:
            found["logits"] = logits
        else:
            found |= {"score": self.score.of(rows, probabilities), "features": rows}
        return {name: values.astype(np.float32) for name, values in found.items()}

    def add_to(self, graph: ComposedGraph, features: str) -> dict[str, tuple[str, tuple[int, ...]]]:
        """Add the operations; return tensor and shape for one image of each output."""
        own, head = self.distilled.components, self.distilled.head
        width = len(head.weights)
        rows = graph.after("Sub", features, graph.constant(own.center))
        rows = graph.after("MatMul", rows, graph.constant(own.axes[:, :width]))
        rows = _added_unit(graph, rows, width)
        weights = graph.constant(np.sqrt(width) * head.weights)
        logits = graph.after("MatMul", rows, weights)
        logits = graph.after("Add", logits, graph.constant(self._bias))
        probabilities = graph.after("Softmax", logits, axis=1)
        if self.score is None:
            outputs = {"logits": (logits, (self.classes,))}
            return {**outputs, "probabilities": (probabilities, (self.classes,))}
        score = self.score.add_to(graph, features, probabilities)
        score = graph.after("Reshape", score, graph.constant([-1], np.int64))
        return {
            "score": (score, ()),
            "probabilities": (probabilities, (self.classes,)),
            "features": (features, (len(own.center),)),
        }

    @property
    def _bias(self) -> Floats:
        return np.maximum(self.distilled.head.bias, _ABSENT)


def _unit(rows: Floats) -> Floats:
    return rows / np.sqrt((rows**2).sum(axis=1, keepdims=True)).clip(_TINY)


def _added_unit(graph: ComposedGraph, rows: str, width: int) -> str:
    lengths = graph.after("Sqrt", _sum(graph, graph.after("Mul", rows, rows), width))
    return graph.after("Div", rows, graph.after("Max", lengths, graph.constant(_TINY)))


def _sum(graph: ComposedGraph, rows: str, width: int) -> str:
    """Add the sum (N, 1) of each row, as a product: its bits do not depend on the batch size."""
    return graph.after("MatMul", rows, graph.constant(np.ones((width, 1))))

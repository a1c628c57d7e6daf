"""A linear head that repeats a task model's answers without the pool: what can be exported."""

from dataclasses import dataclass

import numpy as np

from dgaal_cli.features.kernel import Floats, sample
from dgaal_cli.task_heads.components import Components
from dgaal_cli.task_heads.fit import FeatureModel
from dgaal_cli.task_heads.logistic import LinearHead, fit_logistic, softmax
from dgaal_cli.task_heads.parts import head_rows

_MAX_TAUGHT = 8192
"""Images, chosen at random, that teach the head."""
_COMPARED_SHARE = 0.2
_WIDTH = 256
_C = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class DistilledHead:
    """``softmax(head(sqrt(width) * unit(components(features))))``; ``unit`` scales to length 1."""

    components: Components
    head: LinearHead
    agreement: float
    """Share of images on whose class head and model agree, 0..1; none of them taught the head."""
    compared: int
    """Number of these images."""


def distill(model: FeatureModel) -> DistilledHead:
    """Fit a head to the answers of a task model on its pool, soft and for each image alike.

    One in five images is left out to measure the agreement, if the pool has at least five.
    """
    answers = model.pool_probabilities()
    order = sample(np.arange(len(answers)), _MAX_TAUGHT)
    order = np.random.default_rng(0).permutation(order)
    compared = order[: int(_COMPARED_SHARE * len(order))]
    taught = order[len(compared) :]
    graph, features = model.graph, model.features
    rows = head_rows(graph, features[taught], _WIDTH)
    head = fit_logistic(rows, answers[taught], _C)
    own = softmax(head.logits(head_rows(graph, features[compared], _WIDTH)))
    return DistilledHead(graph.components, head, _agreement(own, answers[compared]), len(compared))


def _agreement(ours: Floats, theirs: Floats) -> float:
    return float((ours.argmax(axis=1) == theirs.argmax(axis=1)).mean()) if len(ours) else 1.0

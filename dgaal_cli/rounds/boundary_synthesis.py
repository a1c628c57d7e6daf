"""Query by synthesis: synthetic images near the task model's boundary, for people to label."""

import numpy as np

from dgaal_cli.errors import UsageError
from dgaal_cli.ids import Row
from dgaal_cli.methods.base import Method, SyntheticBatch, SyntheticQuery
from dgaal_cli.methods.informativeness import boundary_closeness
from dgaal_cli.methods.registry import method_names
from dgaal_cli.rounds.dataset import RoundDataset
from dgaal_cli.training.classifier import predict

SYNTHESIZED_PER_KEPT = 4
"""Synthetic images per kept one; the nearest to the boundary are kept."""


def synthesize_at_boundary(
    method: Method, dataset: RoundDataset, *, count: int, seed: int
) -> SyntheticQuery:
    """Synthesize copies of pool images near T's boundary and keep the nearest to it.

    Images whose labels are only measured on have no copies, since T could not learn from them.

    Raises:
        UsageError: The method has no generator, or T is not trained yet.
    """
    data, network = dataset.data, method.classifier
    if not data.can_learn:
        raise UsageError(
            "synthesizing at the boundary needs labels of two classes; label a first query first"
        )
    rows = np.flatnonzero(data.is_usable & ~dataset.is_to_measure)
    closeness = boundary_closeness(predict(network, data.inputs[rows], data.device).probabilities)
    nearest = rows[np.argsort(-closeness, kind="stable")[: SYNTHESIZED_PER_KEPT * count]]
    copies = method.synthesize(data, [Row(int(row)) for row in nearest], seed)
    if copies is None:
        raise UsageError(
            f"the method '{method.name}' synthesizes no copies of images; use --synthetic with "
            + " or ".join(method_names(lambda info: info.generator == "parents"))
        )
    scores = boundary_closeness(predict(network, copies.pixels, data.device).probabilities)
    best = np.argsort(-scores, kind="stable")[:count]
    return SyntheticQuery(
        images=SyntheticBatch(
            pixels=copies.pixels[best], parents=[copies.parents[int(i)] for i in best]
        ),
        scores=scores[best].astype(np.float32),
        reason="synthesized at the boundary",
    )

"""Query by synthesis: images drawn where the task model hesitates, for a person to name."""

import numpy as np

from dgaal_cli.errors import UsageError
from dgaal_cli.ids import Row
from dgaal_cli.methods.base import Method, SyntheticBatch, SyntheticQuery
from dgaal_cli.methods.informativeness import boundary_closeness
from dgaal_cli.methods.registry import method_names
from dgaal_cli.rounds.dataset import RoundDataset
from dgaal_cli.training.classifier import predict

DRAWN_PER_KEPT = 4
"""Images drawn for each one kept; those nearest the boundary are."""


def draw_at_boundary(
    method: Method, dataset: RoundDataset, *, count: int, seed: int
) -> SyntheticQuery:
    """Redraw pool images near T's boundary and keep the drawings nearest to it.

    None is redrawn whose label is for measuring: T could not learn from what people say of it.

    Raises:
        UsageError: The method has no generator, or T has learned no boundary yet.
    """
    data, network = dataset.data, method.classifier
    if not data.can_learn:
        raise UsageError(
            "synthesizing at the boundary needs labels of two classes; label a first query first"
        )
    rows = np.flatnonzero(data.is_usable & ~dataset.is_to_measure)
    closeness = boundary_closeness(predict(network, data.pixels[rows], data.device).probabilities)
    nearest = rows[np.argsort(-closeness, kind="stable")[: DRAWN_PER_KEPT * count]]
    drawn = method.synthesize(data, [Row(int(row)) for row in nearest], seed)
    if drawn is None:
        raise UsageError(
            f"the method '{method.name}' redraws no images; use --synthetic with "
            + " or ".join(method_names(lambda info: info.generator == "parents"))
        )
    scores = boundary_closeness(predict(network, drawn.pixels, data.device).probabilities)
    best = np.argsort(-scores, kind="stable")[:count]
    return SyntheticQuery(
        images=SyntheticBatch(
            pixels=drawn.pixels[best], parents=[drawn.parents[int(i)] for i in best]
        ),
        scores=scores[best].astype(np.float32),
        reason="synthesized at the boundary",
    )

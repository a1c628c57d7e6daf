"""Query by synthesis: images drawn where the task model hesitates, for a person to name."""

import numpy as np

from dgaal_cli.errors import UsageError
from dgaal_cli.ids import Row
from dgaal_cli.methods.base import can_learn_classes
from dgaal_cli.methods.uncertainty import boundary_closeness
from dgaal_cli.store.labels import LabelStore
from dgaal_cli.store.records import QueryEntry
from dgaal_cli.training.classifier import predict
from dgaal_cli.workflows.synthesis import save_synthetic
from dgaal_cli.workflows.trained import Trained
from dgaal_cli.workspace import Workspace

DRAWN_PER_KEPT = 4
"""Images drawn for each one kept; those nearest the boundary are."""


def synthesize_at_boundary(
    workspace: Workspace,
    store: LabelStore,
    trained: Trained,
    *,
    count: int,
    seed: int,
    first_rank: int,
) -> list[QueryEntry]:
    """Redraw pool images near T's boundary and keep the drawings nearest to it.

    Returns:
        Entries whose items are synthetic, without an inherited label: a person names them.

    Raises:
        UsageError: The method has no generator, or T has learned no boundary yet.
    """
    data = trained.gathered.data
    network = trained.method.classifier
    if not can_learn_classes(data):
        raise UsageError(
            "synthesizing at the boundary needs labels of two classes; label a first query first"
        )
    rows = np.flatnonzero(data.is_usable)
    closeness = boundary_closeness(predict(network, data.pixels[rows], data.device).probabilities)
    nearest = rows[np.argsort(-closeness, kind="stable")[: DRAWN_PER_KEPT * count]]
    drawn = trained.method.synthesize(data, [Row(int(row)) for row in nearest], seed)
    if drawn is None:
        raise UsageError(
            f"the method '{trained.method.name}' has no generator; use --synthetic with dgaal"
        )
    scores = boundary_closeness(predict(network, drawn.pixels, data.device).probabilities)
    best = np.argsort(-scores, kind="stable")[:count]
    items = save_synthetic(
        workspace,
        store,
        drawn.pixels[best],
        number=trained.number,
        parents=[data.item_ids[drawn.parents[int(i)]] for i in best],
        inherited=[None] * len(best),
        is_doubtful=[False] * len(best),
        kind="query",
    )
    return [
        QueryEntry(
            item_id=item,
            rank=first_rank + place,
            score=float(scores[best[place]]),
            reason="synthesized at the boundary",
        )
        for place, item in enumerate(items)
    ]

"""Query by synthesis: images drawn where the task model hesitates, for a person to name."""

import numpy as np

from dgaal_cli.errors import UsageError
from dgaal_cli.ids import ClassUid, Row
from dgaal_cli.methods.base import Drawn, Ranking
from dgaal_cli.methods.informativeness import boundary_closeness
from dgaal_cli.methods.registry import method_names
from dgaal_cli.rounds.load_round import Trained
from dgaal_cli.rounds.synthesis import save_synthetic
from dgaal_cli.store.protocol import Store
from dgaal_cli.store.records import QueryEntry
from dgaal_cli.training.classifier import predict
from dgaal_cli.workspace import Workspace

Guesses = tuple[tuple[ClassUid, float], ...]
"""Classes with their probabilities, the likeliest first."""
SHOWN_GUESSES = 5
DRAWN_PER_KEPT = 4
"""Images drawn for each one kept; those nearest the boundary are."""


def synthesize_at_boundary(
    workspace: Workspace,
    store: Store,
    trained: Trained,
    *,
    count: int,
    seed: int,
    first_rank: int,
) -> list[QueryEntry]:
    """Redraw pool images near T's boundary and keep the drawings nearest to it.

    None is redrawn whose label is for measuring: T could not learn from what people say of it.

    Returns:
        Entries whose items are synthetic, without an inherited label: a person names them.

    Raises:
        UsageError: The method has no generator, or T has learned no boundary yet.
    """
    data = trained.gathered.data
    network = trained.method.classifier
    if not data.can_learn:
        raise UsageError(
            "synthesizing at the boundary needs labels of two classes; label a first query first"
        )
    rows = np.flatnonzero(data.is_usable & ~trained.gathered.is_to_measure)
    closeness = boundary_closeness(predict(network, data.pixels[rows], data.device).probabilities)
    nearest = rows[np.argsort(-closeness, kind="stable")[: DRAWN_PER_KEPT * count]]
    drawn = trained.method.synthesize(data, [Row(int(row)) for row in nearest], seed)
    if drawn is None:
        raise UsageError(
            f"the method '{trained.method.name}' redraws no images; use --synthetic with "
            + " or ".join(method_names(lambda info: info.generator == "parents"))
        )
    scores = boundary_closeness(predict(network, drawn.pixels, data.device).probabilities)
    best = np.argsort(-scores, kind="stable")[:count]
    return _asked(
        workspace,
        store,
        trained,
        Drawn(
            pixels=drawn.pixels[best],
            parents=[drawn.parents[int(i)] for i in best],
            scores=scores[best].astype(np.float32),
            reason="synthesized at the boundary",
        ),
        first_rank=first_rank,
    )


def keep_drawn(
    workspace: Workspace,
    store: Store,
    trained: Trained,
    ranking: Ranking,
    *,
    first_rank: int,
) -> list[QueryEntry]:
    """Store the images that a method drew to be asked, placed among the pool by their scores.

    Returns:
        Entries whose items are synthetic, without an inherited label: a person names them.
    """
    assert ranking.synthesized is not None
    return _asked(
        workspace,
        store,
        trained,
        ranking.synthesized,
        first_rank=first_rank,
        pool_scores=np.sort(ranking.scores),
    )


def _asked(
    workspace: Workspace,
    store: Store,
    trained: Trained,
    drawn: Drawn,
    *,
    first_rank: int,
    pool_scores: np.ndarray | None = None,
) -> list[QueryEntry]:
    ids = trained.gathered.data.item_ids
    count = len(drawn.pixels)
    items = save_synthetic(
        workspace,
        store,
        drawn.pixels,
        number=trained.number,
        parents=[ids[row] if row >= 0 else None for row in drawn.parents],
        inherited=[None] * count,
        is_doubtful=[False] * count,
        kind="query",
    )
    guesses = _guesses_of_drawn(trained, drawn)
    entries: list[QueryEntry] = []
    for place, item in enumerate(items):
        score = float(drawn.scores[place])
        percentile = None
        if pool_scores is not None and len(pool_scores):
            percentile = 100.0 * float(np.searchsorted(pool_scores, score)) / len(pool_scores)
        entries.append(
            QueryEntry(
                item_id=item,
                rank=first_rank + place,
                score=score,
                percentile=percentile,
                predicted=guesses[place][0][0] if guesses[place] else None,
                probabilities=guesses[place],
                reason=drawn.reason,
            )
        )
    return entries


def _guesses_of_drawn(trained: Trained, drawn: Drawn) -> list[Guesses]:
    """What T takes each drawing for: junk is told by class, and hints may show it."""
    data = trained.gathered.data
    if not data.can_learn:
        return [()] * len(drawn.pixels)
    told = predict(trained.method.classifier, drawn.pixels, data.device).probabilities
    return [top_guesses(trained, row) for row in told]


def top_guesses(trained: Trained, probabilities: np.ndarray) -> Guesses:
    """The likeliest classes of one image, of T's probabilities (K,)."""
    classes = trained.gathered.classes
    order = np.argsort(-probabilities, kind="stable")[:SHOWN_GUESSES]
    return tuple((classes[int(k)].uid, float(probabilities[k])) for k in order)

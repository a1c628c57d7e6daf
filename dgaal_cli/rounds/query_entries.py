"""A chosen query as entries of the store, with reasons and T's predictions."""

from collections.abc import Sequence

import numpy as np

from dgaal_cli.ids import ItemId, Row
from dgaal_cli.methods.base import Method, Ranking, SyntheticQuery
from dgaal_cli.rounds.engine import ChosenQuery
from dgaal_cli.rounds.guesses import Guesses, top_guesses
from dgaal_cli.rounds.on_disk import OnDisk
from dgaal_cli.rounds.synthetic_files import save_synthetic
from dgaal_cli.store.records import QueryEntry
from dgaal_cli.training.classifier import predict


def query_entries(bench: OnDisk, method: Method, chosen: ChosenQuery) -> list[QueryEntry]:
    """Store the synthetic images of a query; return all its entries, first pick first.

    Entries of synthetic images have no inherited label: a person labels them. Percentiles of the
    method's own images are relative to the pool's scores.
    """
    ranking = chosen.ranking
    entries = _pool_entries(bench, method, ranking)
    for synthetic in chosen.synthetic:
        own = synthetic is ranking.synthesized
        scores = np.sort(ranking.scores) if own else np.zeros(0, np.float32)
        entries += _synthetic_entries(bench, method, synthetic, scores, first_rank=len(entries) + 1)
    return entries


def _pool_entries(bench: OnDisk, method: Method, ranking: Ranking) -> list[QueryEntry]:
    data, picks = bench.data, ranking.picks
    position = {int(row): i for i, row in enumerate(ranking.rows)}
    ordered = np.sort(ranking.scores)
    prediction = None
    nearest: dict[Row, ItemId] = {}
    if picks and data.can_learn:  # only the picks: methods without T need no pass over the pool
        prediction = predict(method.classifier, data.inputs[np.asarray(picks)], data.device)
        nearest = _nearest_labeled(bench, method, picks, prediction.features)
    entries: list[QueryEntry] = []
    for rank, row in enumerate(picks, start=1):
        score = None if ranking.is_random else float(ranking.scores[position[row]])
        guesses: Guesses = ()
        if prediction is not None and not ranking.is_random:
            guesses = top_guesses(bench.classes, prediction.probabilities[rank - 1])
        entries.append(
            QueryEntry(
                item_id=data.item_ids[row],
                rank=rank,
                score=score,
                percentile=None if score is None else _percentile(ordered, score),
                nearest=nearest.get(row),
                predicted=guesses[0][0] if guesses else None,
                probabilities=guesses,
                reason=ranking.reasons.get(row, ""),
            )
        )
    return entries


def _synthetic_entries(
    bench: OnDisk, method: Method, query: SyntheticQuery, ordered: np.ndarray, *, first_rank: int
) -> list[QueryEntry]:
    data, count = bench.data, len(query.images.pixels)
    items = save_synthetic(
        bench.workspace,
        bench.store,
        query.images.pixels,
        number=data.number,
        parents=[data.item_ids[row] if row >= 0 else None for row in query.images.parents],
        inherited=[None] * count,
        is_doubtful=[False] * count,
        kind="query",
    )
    guesses: list[Guesses] = [()] * count
    if data.can_learn:  # unlabelable images are reported by predicted class; hints may show it
        prediction = predict(method.classifier, query.images.pixels, data.device)
        guesses = [top_guesses(bench.classes, row) for row in prediction.probabilities]
    return [
        QueryEntry(
            item_id=item,
            rank=first_rank + place,
            score=float(query.scores[place]),
            percentile=_percentile(ordered, float(query.scores[place])) if len(ordered) else None,
            predicted=guesses[place][0][0] if guesses[place] else None,
            probabilities=guesses[place],
            reason=query.reason,
        )
        for place, item in enumerate(items)
    ]


def _percentile(ordered: np.ndarray, score: float) -> float:
    return 100.0 * (float(np.searchsorted(ordered, score)) / len(ordered))


def _nearest_labeled(
    bench: OnDisk, method: Method, picks: Sequence[Row], features: np.ndarray
) -> dict[Row, ItemId]:
    """Return the nearest labeled image of each pick in T's features, for comparison."""
    data = bench.data
    labeled = np.flatnonzero(data.is_labeled)
    if not len(labeled):  # only synthetic images have labels
        return {}
    others = predict(method.classifier, data.inputs[labeled], data.device).features
    gaps = (features**2).sum(1)[:, None] + (others**2).sum(1)[None] - 2.0 * features @ others.T
    return {
        row: data.item_ids[int(labeled[at])] for row, at in zip(picks, gaps.argmin(1), strict=True)
    }

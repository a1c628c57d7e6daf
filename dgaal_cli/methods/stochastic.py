"""From scores to a query, one switch for every method that ranks by a score: top, drawn, in parts.

The highest scores lie close together and are often near-duplicates of each other. Drawing with a
probability that grows with the score (Kirsch, Farquhar, Atighehchian, Jesson, Branchaud-Charron &
Gal 2023, "Stochastic batch acquisition") spreads a query at no cost: the top of scores perturbed by
Gumbel noise is such a draw without replacement.
"""

import numpy as np

from dgaal_cli.config.schema import AcquisitionConfig
from dgaal_cli.ids import Row
from dgaal_cli.methods.base import Ranking, mean_ranks, ranking_of, select_top
from dgaal_cli.training.seeding import numpy_generator


def acquire(
    scores: np.ndarray, rows: np.ndarray, count: int, *, config: AcquisitionConfig, seed: int
) -> list[Row]:
    """Choose ``count`` rows by score under the configured rule; "top" draws nothing.

    With several sub-batches the pool falls at random into as many parts, and each gives its share
    of the query: the random subsets that learning loss (Yoo & Kweon 2019) queries in, made disjoint
    so that no image is left out of all of them.

    Args:
        scores: ``(U,)``, higher = ask first.
        rows: int64 ``(U,)``, the pool rows of ``scores``.
        count: Query size, at most U.
        config: Rule, sharpness and parts.
        seed: Of the draw.

    Returns:
        Rows, first pick first, unique.
    """
    generator = numpy_generator(seed, "acquisition")
    drawn = perturbed(scores, config, generator)
    parts = min(max(config.sub_batches, 1), max(count, 1))
    if parts == 1:
        return select_top(drawn, rows, count)
    picks: list[Row] = []
    shuffled = generator.permutation(len(rows))
    for part in range(parts):
        members = np.sort(shuffled[part::parts])
        share = (count - len(picks)) // (parts - part)
        picks += select_top(drawn[members], rows[members], share)
    if len(picks) < count:  # a part was smaller than its share
        left = np.flatnonzero(~np.isin(rows, picks))
        picks += select_top(drawn[left], rows[left], count - len(picks))
    return picks


def perturbed(
    scores: np.ndarray, config: AcquisitionConfig, generator: np.random.Generator
) -> np.ndarray:
    """Return scores whose descending order is a query, float64 ``(U,)``.

    Kirsch et al. 2023, Table 1, with Gumbel noise g of scale 1/beta:

    - power: log s + g, a draw with p proportional to s^beta. Scores below zero are not meant for
      it; where there are any, all are raised until the lowest is zero. A score of zero comes last.
    - softmax: s + g, a draw with p proportional to exp(beta s).
    - softrank: -log r + g, r = 1 for the highest score; ties share their mean rank.
    """
    values = scores.astype(np.float64)
    if config.rule == "top":
        return values
    if config.beta == 0:  # infinite noise: every row is as likely as any other
        return generator.gumbel(size=len(values))
    if config.rule == "power":
        raised = values - min(0.0, float(values.min(initial=0.0)))
        smallest = np.finfo(np.float64).tiny
        base = np.log(np.maximum(raised, smallest))
    elif config.rule == "softmax":
        base = values
    else:
        base = -np.log(mean_ranks(-values))
    return base + generator.gumbel(scale=1.0 / config.beta, size=len(values))


def ranking_by_score(
    name: str,
    rows: np.ndarray,
    scores: np.ndarray,
    count: int,
    *,
    config: AcquisitionConfig,
    seed: int,
    reason: str,
) -> Ranking:
    """Rank by ``scores`` and fill the query by the configured rule."""
    scores = scores.astype(np.float32)
    picks = acquire(scores, rows, count, config=config, seed=seed)
    return ranking_of(rows, scores, picks, strategy=strategy_name(name, config), reason=reason)


def strategy_name(name: str, config: AcquisitionConfig) -> str:
    """Describe how the query was filled, for the record."""
    parts = f", {config.sub_batches} parts" if config.sub_batches > 1 else ""
    return (
        name + parts if config.rule == "top" else f"{name} ({config.rule} {config.beta:g}{parts})"
    )

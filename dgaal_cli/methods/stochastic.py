"""Select a query by score: the highest scores, a random draw, or sub-batches.

The images of highest score are often near-duplicates of each other. Drawing with a probability that
grows with the score (Kirsch, Farquhar, Atighehchian, Jesson, Branchaud-Charron &
Gal 2023, "Stochastic batch acquisition") spreads a query at no cost: the highest scores after
adding Gumbel noise are such a draw without replacement.
"""

import numpy as np

from dgaal_cli.config.schema import AcquisitionConfig
from dgaal_cli.ids import Row
from dgaal_cli.methods.base import mean_ranks, select_top
from dgaal_cli.training.seeds import numpy_generator


def acquire(
    scores: np.ndarray, rows: np.ndarray, count: int, *, config: AcquisitionConfig, seed: int
) -> list[Row]:
    """Choose ``count`` <= U rows by score and the configured rule; "top" is not random.

    With several sub-batches the pool is divided at random into as many parts, and each part gets an
    equal share of the query. These are the random subsets of learning loss (Yoo & Kweon 2019), but
    disjoint, so that every image is in one of them.

    Returns:
        Of ``rows`` int64 ``(U,)`` with ``scores`` ``(U,)`` those to ask, first pick first, unique.
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
    """Return perturbed scores, float64 ``(U,)``; their descending order is the query.

    Kirsch et al. 2023, Table 1, with Gumbel noise g of scale 1/beta:

    - power: log s + g, a draw with p proportional to s^beta. It is not defined for negative scores;
      if there are any, all scores are raised so that the lowest is zero. A score of zero is last.
    - softmax: s + g, a draw with p proportional to exp(beta s).
    - softrank: -log r + g, r = 1 for the highest score; ties share their mean rank.
    """
    values = scores.astype(np.float64)
    if config.rule == "top":
        return values
    if config.beta == 0:  # infinite noise: all rows have the same probability
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


def strategy_name(name: str, config: AcquisitionConfig) -> str:
    """Describe how the query was filled, for the record."""
    parts = f", {config.sub_batches} parts" if config.sub_batches > 1 else ""
    return (
        name + parts if config.rule == "top" else f"{name} ({config.rule} {config.beta:g}{parts})"
    )

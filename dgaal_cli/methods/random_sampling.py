"""The baseline that every other method must beat: a random permutation of the unlabeled pool."""

import numpy as np

from dgaal_cli.methods.base import Ranking, select_top
from dgaal_cli.methods.task_model_only import TaskModelOnly
from dgaal_cli.training.data import RoundData
from dgaal_cli.training.seeding import numpy_generator


class RandomSampling(TaskModelOnly):
    """Without replacement; published baselines that draw with it look weaker than they are."""

    name = "random"

    def rank(self, data: RoundData, count: int, seed: int) -> Ranking:
        """Score every row with its place in a random permutation."""
        return random_ranking(data, count, seed, strategy="random")


def random_ranking(data: RoundData, count: int, seed: int, *, strategy: str) -> Ranking:
    """Rank the unlabeled rows at random, scores evenly spaced in [0, 1)."""
    rows = data.unlabeled_rows
    order = numpy_generator(seed, "random").permutation(len(rows))
    scores = (order / max(len(rows), 1)).astype(np.float32)
    picks = select_top(scores, rows, count)
    return Ranking(rows=rows, scores=scores, picks=picks, strategy=strategy, is_random=True)

"""The baseline that every other method must beat: a random permutation of the unlabeled pool."""

from dgaal_cli.methods.base import Ranking, random_ranking
from dgaal_cli.methods.task_model_only import TaskModelOnly
from dgaal_cli.training.data import RoundData


class RandomSampling(TaskModelOnly):
    """Sampling without replacement; published baselines that sample with it look too weak."""

    name = "random"

    def rank(self, data: RoundData, count: int, seed: int) -> Ranking:
        """Score every row by its place in a random permutation."""
        return random_ranking(data, count, seed, strategy="random")

"""Base for methods that score each sample and select a batch by the configured rule."""

import numpy as np

from dgaal_cli.methods.base import Ranking, random_ranking
from dgaal_cli.methods.stochastic import ranking_by_score
from dgaal_cli.methods.task_model_only import TaskModelOnly
from dgaal_cli.training.classifier import predict
from dgaal_cli.training.data import RoundData
from dgaal_cli.training.task import Prediction

COLD_START = "random (no labels of two classes)"


class ByScore(TaskModelOnly):
    """Trains T and ranks by ``score``; subclasses add ``name``, ``reason`` and ``score``."""

    name: str
    reason: str
    """Why a pick is chosen, in a few words."""

    def score(self, data: RoundData, rows: np.ndarray, seed: int) -> np.ndarray:
        """Return ``(U,)`` finite numbers, higher = ask first.

        Args:
            data: The round.
            rows: int64 ``(U,)``: the unlabeled rows.
            seed: Seed of random draws.
        """
        raise NotImplementedError

    def predict_rows(self, data: RoundData, rows: np.ndarray) -> Prediction:
        """Return T's predictions for pool rows."""
        return predict(self.classifier, data.pixels[rows], data.device)

    def rank(self, data: RoundData, count: int, seed: int) -> Ranking:
        """Fill the query by score; without labels of two classes, at random."""
        if not data.can_learn:
            return random_ranking(data, count, seed, strategy=COLD_START)
        rows = data.unlabeled_rows
        return ranking_by_score(
            self.name,
            rows,
            self.score(data, rows, seed),
            count,
            config=self.config.acquisition,
            seed=seed,
            reason=self.reason,
        )

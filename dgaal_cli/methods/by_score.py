"""Base for methods that score each sample and select a batch by the configured rule."""

import numpy as np

from dgaal_cli.methods.base import Ranking, random_ranking, ranking_of
from dgaal_cli.methods.stochastic import acquire, strategy_name
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
        """Return finite scores ``(U,)`` of the unlabeled rows ``(U,)``, higher = ask first."""
        raise NotImplementedError

    def predict_rows(self, data: RoundData, rows: np.ndarray) -> Prediction:
        """Return T's predictions for pool rows."""
        return predict(self.classifier, data.inputs[rows], data.device)

    def first_query(self, data: RoundData, count: int, seed: int) -> Ranking | None:
        """Rank without scores if the round does not suffice for them: here at random."""
        if data.can_learn:
            return None
        return random_ranking(data, count, seed, strategy=COLD_START)

    def rank(self, data: RoundData, count: int, seed: int) -> Ranking:
        """Fill the query by score and the configured rule."""
        first = self.first_query(data, count, seed)
        if first is not None:
            return first
        rows, config = data.unlabeled_rows, self.config.acquisition
        scores = self.score(data, rows, seed).astype(np.float32)
        picks = acquire(scores, rows, count, config=config, seed=seed)
        strategy = strategy_name(self.name, config)
        return ranking_of(rows, scores, picks, strategy=strategy, reason=self.reason)

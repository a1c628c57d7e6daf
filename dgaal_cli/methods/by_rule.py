"""Base of methods that choose by a rule on rows of features."""

import numpy as np

from dgaal_cli.features.kernel import Floats
from dgaal_cli.methods.base import Ranking, by_identity, ranking_of
from dgaal_cli.methods.by_coverage import CoverageMethod
from dgaal_cli.methods.feature_rules import FeatureRule, PoolAnswers
from dgaal_cli.training.data import RoundData


class FeatureRuleMethod(CoverageMethod):
    """Chooses by ``rule``, as ``dgaal query`` does without a training."""

    rule: FeatureRule

    def rank(self, data: RoundData, count: int, seed: int) -> Ranking:
        """Choose in feature space; unlabeled and labeled rows make up the pool."""
        ordered, labeled = (
            by_identity(data, rows) for rows in (data.unlabeled_rows, data.labeled_rows)
        )
        both = np.concatenate([ordered, labeled])
        picks = self.rule.choose(
            self.features(data, both),
            np.asarray(data.item_ids, np.int64)[both],
            np.arange(len(ordered), len(both)),
            count,
            self._answers(data, ordered, labeled),
        )
        return ranking_of(
            ordered,
            picks.scores[: len(ordered)],
            ordered[picks.positions],
            strategy=self.name,
            reason=self.rule.reason,
        )

    def probabilities(self, data: RoundData, rows: np.ndarray) -> Floats | None:
        """Return T's probabilities (N, C) of rows (N,) if the rule uses them."""
        del data, rows

    def _answers(
        self, data: RoundData, unlabeled: np.ndarray, labeled: np.ndarray
    ) -> PoolAnswers | None:
        if not data.can_learn:
            return None
        classes = data.task.groups(data.targets[labeled]).astype(np.int64)
        labels = np.concatenate([np.full(len(unlabeled), -1, np.int64), classes])
        found = self.probabilities(data, unlabeled)
        if found is not None:  # a labeled image is covered, however doubtful it is
            found = np.concatenate([found, np.zeros((len(labeled), found.shape[1]))])
        both = np.concatenate([unlabeled, labeled])
        ids, groups = np.asarray(data.item_ids, np.int64)[both], data.first_of_group
        return PoolAnswers(
            ids=ids,
            labels=labels,
            probabilities=found,
            groups=None if groups is None else np.asarray(groups, np.int64)[both],
        )

"""MaxHerding, Uncertainty Herding and the kernel critic in rounds with networks."""

import numpy as np

from dgaal_cli.features.herding import uncertainty_herding
from dgaal_cli.methods.base import Ranking, by_identity, ranking_of
from dgaal_cli.methods.by_coverage import CoverageMethod
from dgaal_cli.methods.clustering import Chosen
from dgaal_cli.methods.feature_rules import (
    KERNEL_CRITIC,
    MAX_HERDING,
    UNCERTAINTY_HERDING,
    FeatureRule,
    doubt,
)
from dgaal_cli.training.classifier import predict
from dgaal_cli.training.data import RoundData


class _Herding(CoverageMethod):
    rule: FeatureRule

    def choose(
        self, unlabeled: np.ndarray, labeled: np.ndarray, count: int, *, classes: int, seed: int
    ) -> Chosen:
        """Pick by the rule; both kinds of rows make up the pool."""
        rows = np.concatenate([unlabeled, labeled])
        ids = np.arange(len(rows))
        picks = self.rule.pick(rows, ids, ids[len(unlabeled) :], count)
        return picks.positions.tolist(), picks.scores[: len(unlabeled)]


class MaxHerding(_Herding):
    """Maximum generalized coverage of the pool (Bae, Noh & Sutherland 2024)."""

    name = "maxherding"
    rule = MAX_HERDING
    reason = rule.reason


class KernelCritic(_Herding):
    """Least like the labeled images to the closed-form critic of the maximum mean discrepancy.

    The critic asks the question of DGAAL's D1 and VAAL's D, and is refitted after each pick: see
    ``features.herding.kernel_herding``.
    """

    name = "kernel-critic"
    rule = KERNEL_CRITIC
    reason = rule.reason


class UncertaintyHerding(_Herding):
    """MaxHerding in which uncertain images count more (Bae, Sutherland & Noh 2024).

    Without labels of two classes it is MaxHerding. The uncertainty is that of T's margin.
    """

    name = "uncertainty-herding"
    rule = UNCERTAINTY_HERDING
    reason = rule.reason

    def rank(self, data: RoundData, count: int, seed: int) -> Ranking:
        """Choose in feature space, weighted by T's uncertainty."""
        if not data.can_learn:
            return super().rank(data, count, seed)
        ordered, labeled = (
            by_identity(data, rows) for rows in (data.unlabeled_rows, data.labeled_rows)
        )
        both = np.concatenate([ordered, labeled])
        predicted = predict(self.classifier, data.inputs[ordered], data.device)
        weights = np.zeros(len(both))  # a labeled image is covered, whatever its weight
        weights[: len(ordered)] = doubt(predicted.image_probabilities)
        ids = np.arange(len(both))
        picks = uncertainty_herding(
            self.features(data, both),
            ids,
            ids[len(ordered) :],
            count,
            weights,
        )
        return ranking_of(
            ordered,
            picks.scores[: len(ordered)],
            ordered[picks.positions],
            strategy=self.name,
            reason=self.reason,
        )

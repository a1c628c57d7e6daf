"""MaxHerding and the kernel critic as methods of rounds with networks."""

import numpy as np

from dgaal_cli.methods.clustering import Chosen
from dgaal_cli.methods.coverage import CoverageMethod
from dgaal_cli.methods.feature_rules import KERNEL_CRITIC, MAX_HERDING, FeatureRule


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

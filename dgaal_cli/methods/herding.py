"""Rules on features in rounds with networks: MaxHerding and its kin, and DropQuery."""

import numpy as np

from dgaal_cli.features.kernel import Floats
from dgaal_cli.methods.by_rule import FeatureRuleMethod
from dgaal_cli.methods.drop_query import DROP_QUERY
from dgaal_cli.methods.feature_rules import KERNEL_CRITIC, MAX_HERDING, UNCERTAINTY_HERDING
from dgaal_cli.training.classifier import predict
from dgaal_cli.training.data import RoundData


class MaxHerding(FeatureRuleMethod):
    """Maximum generalized coverage of the pool (Bae, Noh & Sutherland 2024)."""

    name = "maxherding"
    rule = MAX_HERDING


class KernelCritic(FeatureRuleMethod):
    """Least like the labeled images to the closed-form critic of the maximum mean discrepancy.

    The critic asks the question of DGAAL's D1 and VAAL's D, and is refitted after each pick: see
    ``features.herding.kernel_herding``.
    """

    name = "kernel-critic"
    rule = KERNEL_CRITIC


class UncertaintyHerding(FeatureRuleMethod):
    """MaxHerding in which uncertain images count more (Bae, Sutherland & Noh 2024).

    Without labels of two classes it is MaxHerding. The uncertainty is that of T's margin; T is the
    model of ``classifier.head``, as in ``dgaal query``.
    """

    name = "uncertainty-herding"
    rule = UNCERTAINTY_HERDING

    def probabilities(self, data: RoundData, rows: np.ndarray) -> Floats:
        """Return those of T."""
        if data.heads is not None:
            return data.heads.fit(data.training_classes).pool_probabilities()[rows]
        return predict(self.classifier, data.inputs[rows], data.device).image_probabilities


class DropQuery(FeatureRuleMethod):
    """Images whose class changes if features are dropped (Gupte et al. 2024): ``drop_query``."""

    name = "dropquery"
    rule = DROP_QUERY

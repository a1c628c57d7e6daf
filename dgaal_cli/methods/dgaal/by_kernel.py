"""DGAAL on the features of an encoder: no network but T, and nothing is synthesized."""

from dgaal_cli.methods.by_rule import FeatureRuleMethod
from dgaal_cli.methods.dgaal.passage import COVERAGE, CRITIC


class CoverageDgaal(FeatureRuleMethod):
    """Coverage of the pool first, then of what lies near the boundary; see ``passage``."""

    name = "dgaal"
    rule = COVERAGE


class CriticDgaal(FeatureRuleMethod):
    """The same with the critic of the maximum mean discrepancy, which is DGAAL's own question."""

    name = "dgaal"
    rule = CRITIC

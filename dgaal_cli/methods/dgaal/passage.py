"""DGAAL on features: first images that stand for the pool, then those near the class boundary.

D1 asks which images are least like the labeled ones. On features it needs no network: a kernel
answers in closed form. The pool that it compares with is weighted, so that both parts pass into
each other as far as the labels prove that a model has learned the classes, and each class counts
the same, however rare it is.
"""

from dgaal_cli.features.herding import kernel_herding, max_herding
from dgaal_cli.features.kernel import FeatureRows, Floats
from dgaal_cli.methods.feature_rules import FeatureRule, PoolAnswers, doubt
from dgaal_cli.task_heads.scout import fit_scout

REASON = "stands for images that are new to the model or doubtful"


def weigh(rows: FeatureRows, answers: PoolAnswers) -> Floats:
    """Return how much each row (N,) of length 1 counts.

    ``b(u) ((1 - c) + c d(u))`` with the scout's competence c, its doubt d, which is one minus its
    margin, and ``b(u)``, the sum over the classes of ``p_k(u)`` divided by the mean of ``p_k``.
    """
    scout = fit_scout(rows, answers.labels, answers.groups)
    probabilities = scout.probabilities(rows)
    passed = scout.competence
    return balanced(probabilities) * (1 - passed + passed * doubt(probabilities))


def balanced(probabilities: Floats) -> Floats:
    """Return weights (N,) with mean 1 by which K classes count the same; probabilities (N, K)."""
    return (probabilities / probabilities.mean(axis=0)).mean(axis=1)


COVERAGE = FeatureRule(max_herding, REASON, weigh)
CRITIC = FeatureRule(kernel_herding, REASON, weigh)

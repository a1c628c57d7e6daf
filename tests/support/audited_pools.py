"""A pool with a rare class and a model's predictions, and audits of it."""

import numpy as np

from dgaal_cli.audit.answers import AuditAnswer
from dgaal_cli.audit.classes import ClassAnswer
from dgaal_cli.audit.design import draw

POOL = 1500
NAMES = ["common", "usual", "rare"]


def pool(sharpness):
    """Return labels, predictions and confidences of a pool with a rare class."""
    random = np.random.default_rng(3)
    labels = random.choice(3, POOL, p=[0.6, 0.32, 0.08])
    right = random.beta(8, 1, POOL)
    predicted = np.where(random.random(POOL) < right, labels, random.integers(0, 3, POOL))
    return labels, predicted, right**sharpness


def answers(labels, predicted, confidences, count, seed):
    return [
        ClassAnswer(
            answer=AuditAnswer(
                audit=0,
                total=len(labels),
                stratum=each.stratum,
                is_right=bool(labels[each.position] == predicted[each.position]),
            ),
            label=NAMES[labels[each.position]],
            predicted=NAMES[predicted[each.position]],
        )
        for each in draw(confidences, count, seed=seed)
    ]

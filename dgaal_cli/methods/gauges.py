"""Measures of whether a sampler learned its pool, and the warnings that follow from them."""

import math
from collections.abc import Mapping

import numpy as np

from dgaal_cli.ids import ItemId
from dgaal_cli.methods.base import item_hashes, mean_ranks

ACTIVE_VARIANCE = 0.01
"""A latent unit whose mean varies less over the pool carries no information (Burda et al. 2016)."""
MIN_ACTIVE_SHARE = 0.25
MIN_R2 = 0.3
MIN_LABELED_TO_HOLD_OUT = 50
"""With fewer labels no image is held out: the measure would be noise."""
MIN_DISCRIMINATOR_SHARE = 0.5
"""Share of a query that the discriminator chooses; below it, a query is not random even if the
discriminator is at chance."""
MAX_ERROR = 0.1
"""No warning if the standard error of the AUC is greater."""
PREFERRED_COPIES = 0.75
"""AUC of copies against unlabeled images from which the discriminator clearly prefers copies."""
MAX_ROWS = 2000
"""Maximum number of pool images, evenly spread, that measures use."""


def auc(positive: np.ndarray, negative: np.ndarray) -> float:
    """Return the probability that a positive outranks a negative, ties half (Mann-Whitney)."""
    order = mean_ranks(np.concatenate([positive, negative]))[: len(positive)]
    count = len(positive)
    return float((order.sum() - count * (count + 1) / 2) / (count * len(negative)))


def auc_error(positive: int, negative: int) -> float:
    """Standard error of the AUC at chance: sqrt((P + N + 1) / (12 P N))."""
    return math.sqrt((positive + negative + 1) / (12.0 * positive * negative))


def auc_metrics(name: str, positive: np.ndarray, negative: np.ndarray) -> dict[str, float]:
    """Return the AUC of two groups of scores as ``name``, and its error; empty without both."""
    if not len(positive) or not len(negative):
        return {}
    return {name: auc(positive, negative), f"{name}_error": auc_error(len(positive), len(negative))}


def held_out_for_gauges(
    item_ids: list[ItemId], share: float, *, number: int, labeled: int
) -> np.ndarray:
    """Mark images that this round's discriminator is not trained on, bool ``(N,)``.

    A hash of item and round chooses other images in each round, a ``share`` of 0..1. Images that
    are never trained on would be ranked too low, because memorized "unlabeled" images outrank
    unseen ones. With fewer than ``MIN_LABELED_TO_HOLD_OUT`` labels nothing is held out.
    """
    if labeled < MIN_LABELED_TO_HOLD_OUT or not share:
        return np.zeros(len(item_ids), dtype=bool)
    return item_hashes(item_ids, number).astype(np.float64) / 2**24 < share


def health_warnings(metrics: Mapping[str, float]) -> list[str]:
    """Return warnings about ``Method.health``; unknown and missing keys give no warning."""
    warnings: list[str] = []
    broken = sorted(name for name, value in metrics.items() if not math.isfinite(value))
    if broken:
        warnings.append(f"{', '.join(broken)} is not a finite number: a network diverged")
    active, units = metrics.get("active_units"), metrics.get("latent_units", 0.0)
    is_collapsed = active is not None and active < MIN_ACTIVE_SHARE * units
    if is_collapsed and active is not None:
        warnings.append(
            f"the encoder has collapsed: {active:.0f} of {units:.0f} latent values differ between "
            "images, so the discriminator has almost no information and the query is close to "
            "random"
        )
    r2 = metrics.get("reconstruction_r2")
    if r2 is not None and r2 < MIN_R2 and not is_collapsed:
        warnings.append(
            f"the decoder explains {max(r2, 0.0):.0%} of what distinguishes the images; more steps "
            "of selection training may help"
        )
    return warnings + _discriminator_warnings(metrics) + _copies_warnings(metrics)


def _certain_auc(metrics: Mapping[str, float], name: str) -> tuple[float | None, float]:
    """Return an AUC, None if unknown or uncertain, and its standard error."""
    value, error = metrics.get(name, math.nan), metrics.get(f"{name}_error", math.inf)
    return (value if math.isfinite(value) and error <= MAX_ERROR else None), error


def _copies_warnings(metrics: Mapping[str, float]) -> list[str]:
    value, _ = _certain_auc(metrics, "copies_auc")
    if value is None or value < PREFERRED_COPIES:
        return []
    return [
        f"the discriminator prefers synthesized copies to images of the pool (AUC {value:.2f}, "
        "0.5 is no preference), though each has a labeled parent: it may detect traces of the "
        "generator; "
        "coevolve.copies = false keeps copies out of its training"
    ]


def _discriminator_warnings(metrics: Mapping[str, float]) -> list[str]:
    value, error = _certain_auc(metrics, "discriminator_auc")
    if value is None or value > 0.5 + 1.64 * error:
        return []
    if value < 0.5 - 3.0 * error:
        return [
            f"the discriminator ranks held-out images in the wrong order (AUC {value:.2f}, chance "
            "is 0.5): it memorized single images"
        ]
    if metrics.get("discriminator_share", 1.0) < MIN_DISCRIMINATOR_SHARE:
        return []  # the rest of the query does not depend on the discriminator
    return [
        f"the discriminator cannot separate held-out labeled and unlabeled images (AUC "
        f"{value:.2f} +- {error:.2f}, chance is 0.5): this method's query is close to "
        "random; this is expected while the labels are a random part of the pool"
    ]

"""How well two versions of an encoder agree, on the same images."""

from dataclasses import dataclass

import numpy as np

from dgaal_cli.encoders.base import FloatArray
from exporters.quantize import AgreementError, compare_rankings

MIN_IMAGES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureAgreement:
    """Agreement of features with those of a reference."""

    images: int
    largest_difference: float
    """Of two numbers."""
    spearman: float
    """Rank correlation of all distances between two images, -1 to 1."""


def compare_features(expected: FloatArray, got: FloatArray) -> FeatureAgreement:
    """Compare features (N, D) of the same images, N >= ``MIN_IMAGES``."""
    try:
        ranking = compare_rankings(_distances(expected), _distances(got), min_spearman=-1)
        spearman = ranking.spearman
    except AgreementError:  # not finite
        spearman = 0.0
    return FeatureAgreement(
        images=len(expected),
        largest_difference=float(np.abs(expected - got).max()),
        spearman=spearman,
    )


def _distances(features: FloatArray) -> FloatArray:
    """Return the Euclidean distances of all pairs, (N * (N - 1) / 2,)."""
    wide = features.astype(np.float64)
    squares = (wide**2).sum(axis=1)
    between = squares[:, None] + squares - 2 * (wide @ wide.T)
    upper = np.triu_indices(len(wide), 1)
    return np.sqrt(np.maximum(between[upper], 0)).astype(np.float32)

"""Compute the features of images once, for all rounds: fill the feature cache."""

from dgaal_cli.features.compute import FeaturesResult, compute_features

__all__ = ["FeaturesResult", "compute_features"]

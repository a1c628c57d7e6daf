"""VAAL on the features of an encoder, with D in closed form."""

from dgaal_cli.methods.by_rule import FeatureRuleMethod
from dgaal_cli.methods.feature_rules import KERNEL_CRITIC


class CriticVaal(FeatureRuleMethod):
    """Asks what D finds least like the labels, where D is the best critic of a kernel's space.

    There is no VAE: it would give D a space to compare images in, which the features are already.
    D is refitted after each pick, so this is ``kernel-critic``.
    """

    name = "vaal"
    rule = KERNEL_CRITIC

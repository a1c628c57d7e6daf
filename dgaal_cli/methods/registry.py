"""Names of the methods, without importing any: a dict of strings costs no torch."""

import difflib
from importlib import import_module
from typing import TYPE_CHECKING, cast

from dgaal_cli.errors import ConfigError
from dgaal_cli.escaping import show

if TYPE_CHECKING:
    from dgaal_cli.config.schema import Config
    from dgaal_cli.methods.base import Method, TaskShape

METHODS = {
    "asal": "dgaal_cli.methods.gaal.pool_queries:Asal",
    "badge": "dgaal_cli.methods.badge:Badge",
    "bald": "dgaal_cli.methods.bayesian:Bald",
    "coreset": "dgaal_cli.methods.coreset:CoreSet",
    "dal": "dgaal_cli.methods.dal.method:Dal",
    "dbal": "dgaal_cli.methods.bayesian:Dbal",
    "dgaal": "dgaal_cli.methods.dgaal.method:Dgaal",
    "dgaal-paper": "dgaal_cli.methods.dgaal.published:PublishedDgaal",
    "ensemble": "dgaal_cli.methods.ensemble:Ensemble",
    "entropy": "dgaal_cli.methods.uncertainty:Entropy",
    "gaal": "dgaal_cli.methods.gaal.synthesis:Gaal",
    "gaal-deep": "dgaal_cli.methods.gaal.synthesis:GaalDeep",
    "gaal-mixed": "dgaal_cli.methods.gaal.synthesis:GaalMixed",
    "least-confidence": "dgaal_cli.methods.uncertainty:LeastConfidence",
    "margin": "dgaal_cli.methods.uncertainty:Margin",
    "probcover": "dgaal_cli.methods.coverage:ProbCover",
    "random": "dgaal_cli.methods.random_sampling:RandomSampling",
    "self-taught": "dgaal_cli.methods.gaal.pool_queries:SelfTaught",
    "simple-gan": "dgaal_cli.methods.gaal.synthesis:SimpleGan",
    "sraal": "dgaal_cli.methods.sraal.method:Sraal",
    "svm-active": "dgaal_cli.methods.gaal.pool_queries:SvmActive",
    "ta-vaal": "dgaal_cli.methods.ta_vaal.method:TaVaal",
    "typiclust": "dgaal_cli.methods.coverage:TypiClust",
    "vaal": "dgaal_cli.methods.vaal.method:Vaal",
    "vaal-released": "dgaal_cli.methods.vaal.released:VaalReleased",
    "waal": "dgaal_cli.methods.waal.method:Waal",
}

SYNTHESIZING = frozenset({"gaal", "gaal-deep", "gaal-mixed", "simple-gan"})
"""Methods that ask images which they draw themselves; a person or a model oracle names them."""

CLASSIC = frozenset(
    {
        *("random", "margin", "entropy", "least-confidence", "badge", "bald", "dbal", "ensemble"),
        *("coreset", "typiclust", "probcover", "svm-active"),
    }
)
"""Baselines without an adversary or a generator: what a method must not lose to."""

OWN_LEARNER = frozenset({"self-taught"})
"""Methods whose T is not the configured network; they are compared as systems, not as queries."""


def check_method(name: str) -> None:
    """Raise ``ConfigError`` with the nearest name unless ``name`` is a method."""
    if name not in METHODS:
        near = difflib.get_close_matches(name, METHODS, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(METHODS)}"
        raise ConfigError(f"unknown method '{show(name)}'; {hint}")


def load_method(config: "Config", shape: "TaskShape") -> "Method":
    """Build the configured method with freshly initialized networks; imports torch.

    Raises:
        ConfigError: There is no method of that name.
    """
    check_method(config.method)
    module, _, name = METHODS[config.method].partition(":")
    return cast("Method", getattr(import_module(module), name)(config, shape))

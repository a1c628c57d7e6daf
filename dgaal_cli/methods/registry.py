"""All methods and the facts about each, without importing the methods or torch."""

from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, cast

from dgaal_cli.errors import ConfigError, check_known

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np

    from dgaal_cli.config.schema import Config
    from dgaal_cli.ids import ItemId
    from dgaal_cli.methods.base import Method, TaskShape
    from dgaal_cli.methods.feature_rules import FeatureRule

    IdScores = Callable[[Sequence[ItemId], int], np.ndarray]

REFERENCE = "random"
"""The method that every other one is compared with."""
FIRST_METHOD = "maxherding"
"""The method that chooses images while no trained round can choose."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelForm:
    """A method on features whose discriminator is a kernel instead of a network."""

    factory: str
    """As ``MethodInfo.factory``."""
    feature_rule: str
    """As ``MethodInfo.feature_rule``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodInfo:
    """Facts about a method, known before it is built; the contract tests check each one."""

    factory: str
    """``package.module:Class`` below ``dgaal_cli.methods``."""
    is_classic: bool = False
    """A baseline without adversary and generator, which other methods must not lose to."""
    has_sampler: bool = True
    """It scores each image independently, so a sampler can be exported."""
    generator: Literal["", "parents", "prior"] = ""
    """Input of the exported generator: parent images or a latent prior; "" for no generator."""
    draws_queries: bool = False
    """Its queries consist of synthetic images, labeled by a person or a model oracle."""
    has_own_query_rule: bool = False
    """It fills a query by its own rule instead of by score and ``[acquisition]``."""
    needs_pixels: bool = False
    """It works only with the encoder ``pixels``."""
    has_own_task_model: bool = False
    """Its task model T is not the configured network."""
    id_scores: str = ""
    """``package.module:function`` below ``dgaal_cli.methods``, without torch, that scores unlabeled
    images by their ids alone: a query then needs no pixels and no networks; "" if it has none."""
    feature_rule: str = ""
    """``package.module:RULE`` below ``dgaal_cli.methods``, without torch, that chooses images by
    rows of features: a query then needs no training; "" if it has none."""
    kernel_forms: "Mapping[str, KernelForm]" = field(default_factory=dict[str, KernelForm])
    """Values of ``discriminator.form`` beside "mlp"; "auto" is the first one on features."""
    scores_by_task_model: bool = False
    """On features, its score follows from the fitted task model, the labels and the features."""
    needs_labels: bool = True
    """It ranks at random or by typical images until two classes have labels."""
    min_confidence: float = 0.5
    """Meaning of ``generation.min_confidence`` -1: minimum probability, 0..1, that T must give the
    label that a synthetic copy inherits."""
    keeps_candidate_count: bool = False
    """It synthesizes new copies of the parents of copies that joined the labels."""
    refuses: "Mapping[tuple[str, object], str]" = field(
        default_factory=dict[tuple[str, object], str]
    )
    """Settings that it does not support: (key, value) and the rest of the error message."""


_synthesis_info = partial(
    MethodInfo,
    has_sampler=False,
    generator="prior",
    draws_queries=True,
    has_own_query_rule=True,
    needs_pixels=True,
)
_coverage_info = partial(
    MethodInfo, is_classic=True, has_sampler=False, has_own_query_rule=True, needs_labels=False
)

METHODS = {
    "asal": MethodInfo(
        factory="gaal.pool_queries:Asal",
        needs_pixels=True,
        has_sampler=False,
        generator="prior",
        has_own_query_rule=True,
    ),
    "badge": MethodInfo(
        factory="badge:Badge", is_classic=True, scores_by_task_model=True, has_own_query_rule=True
    ),
    "bald": MethodInfo(factory="bayesian:Bald", is_classic=True),
    "coreset": MethodInfo(
        factory="coreset:CoreSet",
        is_classic=True,
        scores_by_task_model=True,
        has_own_query_rule=True,
    ),
    "dal": MethodInfo(factory="dal.method:Dal"),
    "dbal": MethodInfo(factory="bayesian:Dbal", is_classic=True),
    "dgaal": MethodInfo(
        factory="dgaal.method:Dgaal",
        generator="parents",
        has_own_query_rule=True,
        refuses={
            ("coevolve.is_on", False): ", but dgaal has no discriminator that keeps its weights "
            "from round to round; leave it out, or choose dgaal-paper"
        },
        kernel_forms={
            "coverage": KernelForm(
                factory="dgaal.by_kernel:CoverageDgaal", feature_rule="dgaal.passage:COVERAGE"
            ),
            "kernel": KernelForm(
                factory="dgaal.by_kernel:CriticDgaal", feature_rule="dgaal.passage:CRITIC"
            ),
        },
    ),
    "dgaal-paper": MethodInfo(
        factory="dgaal.published:PublishedDgaal",
        generator="parents",
        has_own_query_rule=True,
        min_confidence=0.0,
        keeps_candidate_count=True,
    ),
    "dropquery": _coverage_info(factory="herding:DropQuery", feature_rule="drop_query:DROP_QUERY"),
    "ensemble": MethodInfo(factory="ensemble:Ensemble", is_classic=True),
    "entropy": MethodInfo(
        factory="uncertainty:Entropy", is_classic=True, scores_by_task_model=True
    ),
    "gaal": _synthesis_info(factory="gaal.synthesis:Gaal"),
    "gaal-deep": _synthesis_info(factory="gaal.synthesis:GaalDeep"),
    "gaal-mixed": _synthesis_info(factory="gaal.synthesis:GaalMixed"),
    "kernel-critic": _coverage_info(
        factory="herding:KernelCritic", feature_rule="feature_rules:KERNEL_CRITIC"
    ),
    "least-confidence": MethodInfo(
        factory="uncertainty:LeastConfidence", is_classic=True, scores_by_task_model=True
    ),
    "margin": MethodInfo(factory="uncertainty:Margin", is_classic=True, scores_by_task_model=True),
    "maxherding": _coverage_info(
        factory="herding:MaxHerding", feature_rule="feature_rules:MAX_HERDING"
    ),
    "probcover": _coverage_info(factory="coverage:ProbCover"),
    "random": MethodInfo(
        factory="random_sampling:RandomSampling",
        is_classic=True,
        has_sampler=False,
        id_scores="random_order:random_scores",
        needs_labels=False,
    ),
    "self-taught": MethodInfo(
        factory="gaal.pool_queries:SelfTaught",
        needs_pixels=True,
        has_sampler=False,
        has_own_task_model=True,
        needs_labels=False,
    ),
    "simple-gan": _synthesis_info(factory="gaal.synthesis:SimpleGan", needs_labels=False),
    "sraal": MethodInfo(factory="sraal.method:Sraal"),
    "svm-active": MethodInfo(factory="gaal.pool_queries:SvmActive", is_classic=True),
    "ta-vaal": MethodInfo(
        factory="ta_vaal.method:TaVaal",
        refuses={
            ("classifier.architecture", "linear-svm"): ", whose training has no losses for "
            "ta-vaal's ranker to train on; choose another architecture or method"
        },
    ),
    "typiclust": _coverage_info(factory="coverage:TypiClust"),
    "uncertainty-herding": _coverage_info(
        factory="herding:UncertaintyHerding", feature_rule="feature_rules:UNCERTAINTY_HERDING"
    ),
    "vaal": MethodInfo(
        factory="vaal.method:Vaal",
        kernel_forms={
            "kernel": KernelForm(
                factory="vaal.by_kernel:CriticVaal", feature_rule="feature_rules:KERNEL_CRITIC"
            )
        },
    ),
    "vaal-released": MethodInfo(factory="vaal.released:VaalReleased"),
    "waal": MethodInfo(factory="waal.method:Waal"),
}


def method_names(is_wanted: "Callable[[MethodInfo], object]") -> list[str]:
    """Return the names of the methods that ``is_wanted`` accepts, in alphabetical order."""
    return [name for name, info in METHODS.items() if is_wanted(info)]


def method_info(name: str) -> MethodInfo:
    """Look up a method.

    Raises:
        ConfigError: The method does not exist; the message suggests the nearest name.
    """
    check_known(name, METHODS, problem=f"unknown method '{name}'")
    return METHODS[name]


def why_no_sampler(name: str) -> str:
    """Return why a method has no sampler; empty if it has one."""
    is_known = name in METHODS and not METHODS[name].has_sampler
    return f"'{name}' does not score single images, so it has no sampler" if is_known else ""


def kernel_form(config: "Config") -> KernelForm | None:
    """Return the form without a discriminator network that ``discriminator.form`` asks for."""
    forms, form = METHODS[config.method].kernel_forms, config.discriminator.form
    if form == "auto" and config.encoder.source != "pixels":
        return next(iter(forms.values()), None)
    return forms.get(form)


def needs_labels(config: "Config") -> bool:
    """Return whether the configured method has nothing to rank by until two classes have labels."""
    return METHODS[config.method].needs_labels and kernel_form(config) is None


def check_method(config: "Config") -> None:
    """Check that the configured method exists and supports the settings.

    Raises:
        ConfigError: The method does not exist, or a setting does not work with it.
    """
    from dgaal_cli.config.schema import AcquisitionConfig

    info = method_info(config.method)
    if info.needs_pixels and config.encoder.source != "pixels":
        raise ConfigError(
            f"'{config.method}' learns from pixels, not from the features of encoder "
            f"'{config.encoder.source}'; use --encoder pixels, or choose another method"
        )
    _check_form(config, info)
    for (key, value), why in info.refuses.items():
        section, _, name = key.partition(".")
        if getattr(getattr(config, section), name) == value:
            raise ConfigError(f"'{key}' is {str(value).lower()}{why}")
    if not info.has_own_query_rule:
        return
    for name in ("rule", "beta", "sub_batches"):
        value = getattr(config.acquisition, name)
        if value != getattr(AcquisitionConfig(), name):
            raise ConfigError(
                f"'acquisition.{name}' is {value}, but {config.method} fills its "
                "queries by its own rule; leave it out, or choose a method that ranks by score"
            )


def _check_form(config: "Config", info: MethodInfo) -> None:
    form = config.discriminator.form
    if form in ("auto", "mlp"):
        return
    if form not in info.kernel_forms:
        names = method_names(lambda each: form in each.kernel_forms)
        raise ConfigError(
            f"'discriminator.form' is {form}, which '{config.method}' does not have; leave it out, "
            f"or choose the method {' or '.join(names)}"
        )
    if config.encoder.source == "pixels":
        raise ConfigError(
            f"'discriminator.form' is {form}, which compares the features of an encoder, but "
            "'encoder.source' is pixels; leave it out, or choose an encoder"
        )


def load_method(config: "Config", shape: "TaskShape") -> "Method":
    """Build the configured method with freshly initialized networks; imports torch.

    Raises:
        ConfigError: The method does not exist, or a setting does not work with it.
    """
    check_method(config)
    own = kernel_form(config) or METHODS[config.method]
    return cast("Method", _load(own.factory)(config, shape))


def load_id_scores(name: str) -> "IdScores | None":
    """Return the function that scores items by their ids and a seed; None if the method has none.

    The scores are float32 ``(N,)``, higher = ask first, the same as those of ``Method.rank``.
    """
    function = METHODS[name].id_scores
    return _load(function) if function else None


def scores_by_networks(config: "Config") -> bool:
    """Return whether the score of an image needs networks that a training with torch makes."""
    info = METHODS[config.method]
    is_known = info.scores_by_task_model or trains_no_network(config)
    return info.has_sampler and not is_known


def has_feature_rule(config: "Config") -> bool:
    """Return whether the configured method chooses from features, without a training."""
    return bool((kernel_form(config) or METHODS[config.method]).feature_rule)


def trains_no_network(config: "Config") -> bool:
    """Return whether a training fits nothing but the task model on features, without torch."""
    has_rule = has_feature_rule(config) or bool(METHODS[config.method].id_scores)
    return has_rule and config.encoder.source != "pixels"


def load_feature_rule(config: "Config") -> "FeatureRule | None":
    """Return the rule by which the configured method chooses from features; None if it has none."""
    rule = (kernel_form(config) or METHODS[config.method]).feature_rule
    return cast("FeatureRule", _load(rule)) if rule else None


def load_first_rule() -> "FeatureRule":
    """Return the rule of ``FIRST_METHOD``."""
    return cast("FeatureRule", _load(METHODS[FIRST_METHOD].feature_rule))


def _load(place: str) -> "Callable[..., Any]":
    module, _, name = place.partition(":")
    return getattr(import_module(f"dgaal_cli.methods.{module}"), name)

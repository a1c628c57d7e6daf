"""Summarize records of rounds: is a method better than random?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dgaal_cli.methods.registry import REFERENCE, method_names
from dgaal_cli.simulation.plan import FULL_DATA
from dgaal_cli.simulation.records import Guesses, RoundRecord
from dgaal_cli.simulation.statistics import (
    Curve,
    Estimate,
    accuracy_at,
    annotations_at,
    aubc,
    estimate,
    labels_saved,
    mean_curve,
    paired_difference,
)

CLASSIC = frozenset(method_names(lambda info: info.is_classic))
"""Classic baselines; a record may contain a method that this version does not have."""

Trials = Mapping[int, Sequence[RoundRecord]]
"""Records of one arm by seed, rounds ascending."""

MAX_LOSS = 0.005
"""Accepted loss to the best baseline: half a point of AUBC."""
ENOUGH_OF_FULL = 0.95
"""Usual target of labeling, as a share of the accuracy on all labels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One round, averaged over seeds."""

    annotations: float
    labels: float
    """|L|, the labels that the method's own T is trained on."""
    accuracy: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class BestBaseline:
    """The classic baseline, other than the method itself, with the best result in this simulation.

    It is selected on the same trials that it is compared on, which is to the method's disadvantage.
    """

    name: str
    difference: Estimate
    """AUBC of the method minus that of the baseline, paired by seed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """Result of a method with the T that all methods share, or with its own T."""

    aubc: Estimate
    vs_random: Estimate | None
    """Paired difference of AUBC over common annotations; None for random itself, and if random is
    missing."""
    vs_best_baseline: BestBaseline | None
    """For a system, compared with the baselines as systems; None without another baseline."""
    labels_saved: float | None
    curve: tuple[Point, ...]
    enough_at: float | None
    """Annotations for ``ENOUGH_OF_FULL`` of the accuracy on all labels; None if not reached or
    unknown."""
    trials: tuple[Curve, ...]
    """One per seed."""

    def accuracy_at(self, annotations: float) -> Estimate | None:
        """Return the accuracy at a count of annotations; None if not all seeds reach it."""
        accuracies = [accuracy_at(trial, annotations) for trial in self.trials]
        values = [value for value in accuracies if value is not None]
        return estimate(values) if len(values) == len(accuracies) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodSummary:
    """Summary of one arm."""

    name: str
    method: str
    seeds: tuple[int, ...]
    selection: Effect
    """T trained in the same way for all methods: the effect of which images are asked."""
    system: Effect | None
    """T as the method trains it, compared with random with plain T; None if they are the same."""
    missing_class_enrichment: Estimate | None
    """Share of absent classes in the first query, divided by their share in the pool."""
    sampling_s: float
    """Mean seconds to choose one query."""
    training_s: float
    """Mean seconds to train the method's networks, including T, in rounds with a query."""
    cannot_tell: int
    guesses: "GuessSummary | None"
    verdict: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GuessSummary:
    """Predictions shown to the annotator, over all queries and seeds; ``live``: the learner's."""

    accuracy: float
    accuracy_live: float
    keys_per_label: float
    keys_per_label_live: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """Summary of a simulation."""

    methods: tuple[MethodSummary, ...]
    full_data: Estimate | None
    """Accuracy of T on all labels."""


def summarize(trials: Mapping[str, Trials]) -> Summary:
    """Summarize finished trials by arm; arms keep their order."""
    full = trials.get(FULL_DATA)
    reached = None if full is None else estimate([r[-1].accuracy for r in full.values()])
    arms = {name: own for name, own in trials.items() if name != FULL_DATA and own}
    summaries = tuple(_summarize_arm(name, arms, reached) for name in arms)
    return Summary(methods=summaries, full_data=reached)


def method_of(own: Trials) -> str:
    """Return the method of an arm."""
    return next(iter(own.values()))[0].method


def _summarize_arm(
    name: str, arms: Mapping[str, Trials], reached: Estimate | None
) -> MethodSummary:
    own, reference, is_reference = arms[name], arms.get(REFERENCE), name == REFERENCE
    against = None if is_reference else reference
    classics = {label: theirs for label, theirs in arms.items() if method_of(theirs) in CLASSIC}
    others = {label: theirs for label, theirs in classics.items() if label != name}
    selection = _effect(own, against, others, reached, is_system=False)
    records = [record for rounds in own.values() for record in rounds]
    has_own_t = any(record.system_accuracy is not None for record in records)
    system = _effect(own, reference, others, reached, is_system=True) if has_own_t else None
    asking = [record for record in records if not record.is_last]
    ratios = [
        rounds[0].absent.share / rounds[0].absent.base_rate
        for rounds in own.values()
        if rounds[0].absent is not None and rounds[0].absent.base_rate > 0
    ]
    return MethodSummary(
        name=name,
        method=method_of(own),
        seeds=tuple(sorted(own)),
        selection=selection,
        system=system,
        missing_class_enrichment=estimate(ratios) if ratios else None,
        sampling_s=_mean([r.seconds.sampling for r in asking]),
        training_s=_mean([r.seconds.classifier + r.seconds.networks for r in asking or records]),
        cannot_tell=sum(record.cannot_tell for record in records),
        guesses=_guesses([record.guesses for record in records if record.guesses is not None]),
        verdict="" if is_reference else verdict(selection.vs_random),
    )


def _guesses(records: Sequence[Guesses]) -> GuessSummary | None:
    images = sum(each.images for each in records)
    if not images:
        return None
    return GuessSummary(
        accuracy=sum(each.right for each in records) / images,
        accuracy_live=sum(each.right_live for each in records) / images,
        keys_per_label=sum(each.keys for each in records) / images,
        keys_per_label_live=sum(each.keys_live for each in records) / images,
    )


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else 0.0


def verdict(difference: Estimate | None) -> str:
    """Describe what the interval of a difference to random shows."""
    if difference is None:
        return "no random trial of the same seeds to compare with"
    if difference.interval is None:
        return "one seed: no interval"
    low, high = difference.interval
    if low == high == 0:
        return "asks the same images as random"
    if low > 0:
        return "beats random"
    if high < 0:
        return "is worse than random"
    return "does not beat random: the interval contains zero"


def baseline_verdict(difference: Estimate) -> str:
    """Describe what the interval of a difference to the best baseline shows."""
    if difference.interval is None:
        return "one seed: no interval"
    low, high = difference.interval
    if low > 0:
        return "beats it"
    if low >= -MAX_LOSS:
        return "is at most half a point worse"
    if high < -MAX_LOSS:
        return "is more than half a point worse"
    return "may be more than half a point worse"


def _effect(
    own: Trials,
    reference: Trials | None,
    baselines: Mapping[str, Trials],
    reached: Estimate | None,
    *,
    is_system: bool,
) -> Effect:
    curves = _curves(own, is_system=is_system)
    mean = mean_curve(list(curves.values()))
    difference = saved = None
    if reference:
        theirs = _curves(reference, is_system=False)
        common = sorted(curves.keys() & theirs.keys())
        difference = paired_difference(curves, theirs)
        if common:
            ours = mean_curve([curves[seed] for seed in common])
            saved = labels_saved(ours, mean_curve([theirs[seed] for seed in common]))
    compared = [
        BestBaseline(name=name, difference=gap)
        for name, trials in baselines.items()
        if (gap := paired_difference(curves, _curves(trials, is_system=is_system)))
    ]
    return Effect(
        aubc=estimate([aubc(curve) for curve in curves.values()]),
        vs_random=difference,
        vs_best_baseline=min(compared, key=lambda each: each.difference.mean, default=None),
        labels_saved=saved,
        curve=tuple(
            Point(
                annotations=annotations,
                labels=float(np.mean([rounds[i].labels for rounds in own.values()])),
                accuracy=estimate([curve.accuracies[i] for curve in curves.values()]),
            )
            for i, annotations in enumerate(mean.annotations)
        ),
        trials=tuple(curves[seed] for seed in sorted(curves)),
        enough_at=None if reached is None else annotations_at(mean, ENOUGH_OF_FULL * reached.mean),
    )


def _curves(trials: Trials, *, is_system: bool) -> dict[int, Curve]:
    return {
        seed: Curve(
            annotations=tuple(float(r.annotations) for r in rounds),
            accuracies=tuple(
                r.system_accuracy if is_system and r.system_accuracy is not None else r.accuracy
                for r in rounds
            ),
        )
        for seed, rounds in trials.items()
    }

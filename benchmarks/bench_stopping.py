"""What the audit says of real models beside the truth: intervals, bounds, forecasts.

Run ``DATA=SOURCE python benchmarks/bench_stopping.py [--cache FOLDER]``; the source has a correct
label for each image. A model on features learns from some labels, which MaxHerding chooses, and
predicts the others: these are the pool of which audits are drawn, so that the truth is known.
Measured for each number of labels:

- the share of nominal 95 % intervals that contain the pool's accuracy, the recall and precision of
  its classes, the balanced accuracy, and the number of images of a class;
- the mean width, relative to that of Neyman's allocation for the model's own confidences; and the
  images of an audit, relative to those of a random test set with the same width;
- the share of runs in which the bound of ``status --until`` was above the accuracy, or that of
  ``--until recall:CLASS=`` above the recall of the rarest class, asked after every label;
- the share of runs in which more than the stated share of accepted predictions was wrong;
- how many labels the forecast says to the accuracy of the last model, from half way on, relative to
  the labels that it took.
"""

import argparse
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from bench_audit import Z, random_images
from bench_task_heads import read_data
from making import Line, print_table

from dgaal_cli.api.accept_predicted import most_errors
from dgaal_cli.audit.answers import AuditAnswer
from dgaal_cli.audit.anytime import lower_bound
from dgaal_cli.audit.classes import ClassAnswer, balanced_accuracy, class_estimates, class_shares
from dgaal_cli.audit.design import draw
from dgaal_cli.audit.estimate import estimate
from dgaal_cli.audit.forecast import MeasuredModel, forecast
from dgaal_cli.audit.goal import Goal
from dgaal_cli.audit.goal_bounds import goal_bounds
from dgaal_cli.features.herding import max_herding
from dgaal_cli.task_heads.fit import fit
from dgaal_cli.task_heads.graph import build_graph

COUNTS = (60, 200)
LOOKS = 120
"""Labels of a run after each of which the bounds are asked."""
STEPS = (30, 45, 60, 80, 105, 135, 170, 215, 270)
"""Labels of the models of a forecast."""
Found = dict[str, list[float]]


class Model:
    """A fitted model, and what it predicts for the images without a label."""

    def __init__(self, rows: np.ndarray, truth: np.ndarray, graph: object, known: np.ndarray):
        labels = np.full(len(truth), -1)
        labels[known] = truth[known]
        rest = labels < 0
        found = fit(rows, labels, int(truth.max()) + 1, graph=graph).pool_probabilities()[rest]
        self.labels = len(known)
        self.truth, self.confidences = truth[rest], found.max(axis=1)
        self.predicted = found.argmax(axis=1)
        self.is_right = self.predicted == self.truth
        self.names = [str(name) for name in range(int(truth.max()) + 1)]

    def audit(self, count: int, seed: int) -> tuple[list[ClassAnswer], np.ndarray]:
        """Return the answers of an audit and their positions."""
        draws = draw(self.confidences, count, seed=seed)
        answers = [
            ClassAnswer(
                answer=AuditAnswer(
                    audit=0,
                    total=len(self.truth),
                    stratum=each.stratum,
                    is_right=bool(self.is_right[each.position]),
                ),
                label=self.names[self.truth[each.position]],
                predicted=self.names[self.predicted[each.position]],
            )
            for each in draws
        ]
        return answers, np.array([each.position for each in draws])

    def recall(self, number: int) -> float:
        return float(self.is_right[self.truth == number].mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--encoder", default="package:efficientnet-lite0")
    parser.add_argument("--cache", type=Path, help="Folder that keeps the features.")
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--labels", default="40,120")
    parser.add_argument("--seeds", type=int, default=10, help="Forecasts.")
    parser.set_defaults(by_group=False)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        rows, truth, _ = read_data(options.cache or Path(temporary), options)
    graph = build_graph(rows)
    order = max_herding(rows, np.arange(len(truth)), np.empty(0, np.int64), STEPS[-1]).positions
    lines: list[Line] = []
    for labels in map(int, options.labels.split(",")):
        model = Model(rows, truth, graph, order[:labels])
        name = f"{labels} labels, accuracy {model.is_right.mean():.3f}"
        for count in COUNTS if options.draws else ():
            lines += intervals(f"{name}, audit of {count}", model, count, options.draws)
        lines += bounds(name, model, options.runs)
        lines += accepted(name, model, options.runs)
    if options.seeds:
        models = [Model(rows, truth, graph, order[:labels]) for labels in STEPS]
        lines += forecasts(models, options.seeds)
    print_table(f"bench_stopping, {options.draws} draws, {options.runs} runs", lines)


def intervals(name: str, model: Model, count: int, draws: int) -> list[Line]:
    true, widths = float(model.is_right.mean()), list[float]()
    is_in: Found = defaultdict(list)
    numbers = range(len(model.names))
    recalls = [model.recall(number) for number in numbers]
    for seed in range(draws):
        answers, _ = model.audit(count, seed)
        found = estimate([each.answer for each in answers])
        is_in["accuracy"].append(found.low <= true <= found.high)
        widths.append(found.high - found.low)
        classes = class_estimates(answers, model.names)
        shares = class_shares(answers, model.names)
        for number, own, share in zip(numbers, classes, shares, strict=True):
            precision = model.is_right[model.predicted == number]
            if own.recall:
                is_in["recall"].append(own.recall.low <= recalls[number] <= own.recall.high)
            if own.precision and len(precision):
                low, high = own.precision.low, own.precision.high
                is_in["precision"].append(low <= precision.mean() <= high)
            size = float((model.truth == number).mean())
            is_in["images of a class"].append(share.low <= size <= share.high)
        mean = balanced_accuracy(classes)
        if mean:
            is_in["balanced accuracy"].append(mean.low <= np.mean(recalls) <= mean.high)
    chances = model.confidences
    neyman = 2 * Z * float(np.sqrt(chances * (1 - chances)).mean()) / count**0.5
    width = float(np.mean(widths))
    return [
        *(
            Line(f"{name}: coverage, {what}", float(np.mean(values)), ">= 0.94")
            for what, values in is_in.items()
        ),
        Line(f"{name}: width", width),
        Line(f"{name}: width / Neyman's", width / neyman, "<= 1.3"),
        Line(f"{name}: images / random test set's", count / random_images(true, width), "<= 0.5"),
    ]


def bounds(name: str, model: Model, runs: int) -> list[Line]:
    """Ask after every label; a bound is looked at where it may rise."""
    rarest = int(np.argmin(np.bincount(model.truth, minlength=len(model.names)) + 0.0))
    goals = [
        (Goal(kind="accuracy", target=1.0), float(model.is_right.mean())),
        (
            Goal(kind="recall", target=1.0, class_name="rarest", uid=model.names[rarest]),
            model.recall(rarest),
        ),
    ]
    wrong: Found = defaultdict(list)
    for seed in range(runs):
        answers, _ = model.audit(LOOKS, seed)
        for goal, true in goals:
            looks = [at for at, each in enumerate(answers, 1) if may_rise(each, goal)]
            lows = (low_bound(answers[:at], goal) for at in looks)
            wrong[goal.kind].append(any(low > true for low in lows))
    return [
        Line(f"{name}: runs with a false stop, {kind}", float(np.mean(values)), "<= 0.05")
        for kind, values in wrong.items()
    ]


def low_bound(answers: Sequence[ClassAnswer], goal: Goal) -> float:
    """Return the lower bound alone: for an accuracy, in half of the time."""
    if goal.kind == "accuracy":
        return lower_bound([each.answer for each in answers])
    return goal_bounds(answers, goal).low


def may_rise(answer: ClassAnswer, goal: Goal) -> bool:
    """Return whether the bound may be higher after this answer than before."""
    if goal.kind == "accuracy":
        return answer.answer.is_right
    return goal.uid == answer.label == answer.predicted


def accepted(name: str, model: Model, runs: int) -> list[Line]:
    """Accept all predictions, or the surer half, at exactly the error that the audit shows."""
    wrong: Found = defaultdict(list)
    for seed in range(runs):
        answers, positions = model.audit(200, seed)
        rest = np.setdiff1d(np.arange(len(model.truth)), positions)
        for share in (1.0, 0.5):
            order = rest[np.argsort(-model.confidences[rest], kind="stable")]
            own = order[: round(share * len(order))]
            is_sure = model.confidences[positions] >= model.confidences[own[-1]]
            plain = [each.answer for each in answers]
            most = most_errors(plain, is_sure, len(model.truth)) / len(own)
            wrong[f"{share:.0%}"].append(float((~model.is_right[own]).mean()) > most)
    return [
        Line(
            f"{name}: runs with more errors than stated, {what}", float(np.mean(values)), "<= 0.05"
        )
        for what, values in wrong.items()
    ]


def forecasts(models: Sequence[Model], seeds: int) -> list[Line]:
    """Each seed audits 100 images that no model learned, and measures all models by them.

    The same forecast from the true accuracies says what remains without any error of the audits.
    """
    exact = [
        MeasuredModel(labels=each.labels, accuracy=float(each.is_right.mean()), deviation=0.0)
        for each in models
    ]
    factors, is_in = list[float](), list[bool]()
    for seed in range(seeds):
        own = ahead([measured(model, seed) for model in models], exact[-1])
        factors += own[0]
        is_in += own[1]
    best, _ = ahead(exact, exact[-1])
    return [
        Line("forecast: within a factor of 1.5", near(factors), ">= 0.8"),
        Line("forecast: the interval contains the labels", float(np.mean(is_in))),
        Line("forecast from the true accuracies: within 1.5", near(best)),
    ]


def measured(model: Model, seed: int) -> MeasuredModel:
    answers, _ = model.audit(100, seed)
    found = estimate([each.answer for each in answers])
    deviation = (found.high - found.low) / (2 * Z)
    return MeasuredModel(labels=model.labels, accuracy=found.value, deviation=deviation)


def ahead(models: Sequence[MeasuredModel], goal: MeasuredModel) -> tuple[list[float], list[bool]]:
    """Forecast the labels to the goal's accuracy from its first half of models on.

    Returns:
        Predicted labels relative to those of the goal, and whether the interval contains these.
    """
    factors, is_in = list[float](), list[bool]()
    for known in range(len(models) // 2, len(models)):
        curve = forecast(models[:known])
        if curve is not None:
            found = curve.labels_to(goal.accuracy)
            factors.append((found.median + curve.labels) / goal.labels)
            is_in.append(found.low + curve.labels <= goal.labels <= found.high + curve.labels)
    return factors, is_in


def near(factors: Sequence[float]) -> float:
    """Return the share of factors from 1/1.5 to 1.5."""
    return float(np.mean([1 / 1.5 <= factor <= 1.5 for factor in factors]))


if __name__ == "__main__":
    main()

"""The task model on features beside random labels with a linear head.

Run ``DATA=SOURCE python benchmarks/bench_task_heads.py [--cache FOLDER] [--seeds 10]``; the source
has a label for each image. Each seed holds out 35 % of the images for the test, and chooses 320
labels among the others at random and by MaxHerding. Accuracy in percent of ``task_heads.fit`` on
both, and of scikit-learn's logistic regression on standardized features (C = 0.1); the expected
calibration error (ECE) of the former on the test images; CPU seconds of one fit. ``--by-group``
never divides near-duplicates between the two parts, and measures balanced accuracy.
"""

import argparse
import os
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
from bench_features import filled, near_duplicates
from making import Line, print_table

from dgaal_cli.config.schema import EncoderConfig
from dgaal_cli.data.decode_stream import image_digest
from dgaal_cli.data.sources import open_source
from dgaal_cli.encoders.registry import load_encoder, located
from dgaal_cli.features.cache import CachedRows
from dgaal_cli.features.herding import max_herding
from dgaal_cli.task_heads.calibration import expected_calibration_error
from dgaal_cli.task_heads.distill import distill
from dgaal_cli.task_heads.fit import fit
from dgaal_cli.task_heads.graph import build_graph
from dgaal_cli.task_heads.parts import GraphPart

BUDGETS = (10, 20, 40, 80, 160, 320)
DISTILLED = (10, 80)
BASELINE = "random, linear head"
TEST_SHARE = 0.35
Found = defaultdict[tuple[str, int], list[float]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--encoder", default="package:efficientnet-lite0")
    parser.add_argument("--cache", type=Path, help="Folder that keeps the features.")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--by-group", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        rows, labels, groups = read_data(options.cache or Path(temporary), options)
    found: Found = defaultdict(list)
    for seed in range(options.seeds):
        one_split(rows, labels, groups, seed, balanced=options.by_group, found=found)
    print_table(f"bench_task_heads, {options.seeds} seeds", table(found))


def read_data(cache: Path, options: argparse.Namespace) -> tuple[np.ndarray, ...]:
    settings = located(EncoderConfig(source=options.encoder), Path.cwd())
    encoder = load_encoder(settings, image_size=32, channels=3)
    source = open_source(os.environ["DATA"], base=Path.cwd())
    entries = {image_digest(entry.read()): entry for entry in source.entries()}
    space, _ = filled(cache, source, encoder, dtype="float16")
    rows = CachedRows(cache, space, list(entries))[:]
    labels = np.unique([str(entry.label) for entry in entries.values()], return_inverse=True)[1]
    alone = np.arange(len(labels))
    groups = near_duplicates([*entries.values()]) if options.by_group else alone
    return rows, labels, groups


def one_split(
    rows: np.ndarray,
    labels: np.ndarray,
    groups: np.ndarray,
    seed: int,
    *,
    balanced: bool,
    found: Found,
) -> None:
    generator, classes = np.random.default_rng(seed), int(labels.max()) + 1
    names = generator.permutation(np.unique(groups))
    is_test = np.isin(groups, names[: int(TEST_SHARE * len(names))])
    pool = generator.permutation(np.flatnonzero(~is_test))
    features, truth, test, answers = rows[pool], labels[pool], rows[is_test], labels[is_test]
    graph = build_graph(features)
    herded = max_herding(features, np.arange(len(pool)), np.empty(0, np.int64), BUDGETS[-1])
    orders = {"random": generator.permutation(len(pool)), "MaxHerding": herded.positions}
    score = balanced_accuracy if balanced else accuracy
    for name, order in orders.items():
        for budget in BUDGETS:
            known = np.full(len(pool), -1)
            known[order[:budget]] = truth[order[:budget]]
            began = time.process_time()
            model = fit(features, known, classes, graph=graph)
            spent = time.process_time() - began
            probabilities = model.probabilities(test)
            error = expected_calibration_error(probabilities, answers)
            found[f"{name}, own T", budget].append(score(probabilities.argmax(axis=1), answers))
            found[f"{name}, own T: ECE", budget].append(100 * error)
            found[f"{name}, own T: CPU seconds of a fit", budget].append(spent)
            found[f"{name}, own T: % of models with the graph", budget].append(
                100 * any(isinstance(part, GraphPart) for part in model.parts)
            )
            if name == "MaxHerding" and budget in DISTILLED:
                agreement = distill(model).agreement
                found[f"{name}, distilled head: agreement", budget].append(100 * agreement)
    for budget in BUDGETS:
        chosen = orders["random"][:budget]
        predicted = linear_head(features[chosen], truth[chosen], features, test)
        found[BASELINE, budget].append(score(predicted, answers))


def linear_head(
    rows: np.ndarray, labels: np.ndarray, pool: np.ndarray, test: np.ndarray
) -> np.ndarray:
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    if len(set(labels.tolist())) < 2:
        return np.full(len(test), labels[0])
    scaler = StandardScaler().fit(pool.astype(float))
    head = LogisticRegression(C=0.1, max_iter=1000).fit(scaler.transform(rows), labels)
    return head.predict(scaler.transform(test.astype(float)))


def accuracy(predicted: np.ndarray, answers: np.ndarray) -> float:
    return 100 * float((predicted == answers).mean())


def balanced_accuracy(predicted: np.ndarray, answers: np.ndarray) -> float:
    shares = [(predicted[answers == own] == own).mean() for own in np.unique(answers)]
    return 100 * float(np.mean(shares))


def table(found: Found) -> list[Line]:
    names = list(dict.fromkeys(name for name, _ in found))
    lines = [
        Line(f"{name}, {budget}", float(np.mean(found[name, budget])))
        for name in names
        for budget in BUDGETS
        if (name, budget) in found
    ]
    gains = np.mean(
        [
            np.subtract(found["MaxHerding, own T", budget], found[BASELINE, budget])
            for budget in BUDGETS[:5]
        ],
        axis=0,
    )
    error = float(np.std(gains, ddof=1) / np.sqrt(len(gains))) if len(gains) > 1 else 0.0
    lines.append(
        Line("gain over random and a linear head, 10 to 160", float(gains.mean()), ">= 10")
    )
    lines.append(Line("its standard error over the seeds", error))
    return lines


if __name__ == "__main__":
    main()

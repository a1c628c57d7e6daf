"""Likely wrong labels, found by ``dgaal labels errors``, beside cleanlab and random re-checks.

Run ``DATA=SOURCE python benchmarks/bench_label_errors.py [--cache FOLDER] [--seeds 10]``; the
source has a correct label for each image. Each seed takes the labels of some images and replaces a
share of them by another class, drawn uniformly. The table shows the precision of as many images as
were changed, the worst first; the share of changed labels among the suspects, and of suspects among
the changed labels. cleanlab ranks and filters the same probabilities, if it is installed (``pip
install cleanlab``). A random re-check finds the share that was changed.
"""

import argparse
import importlib.util
import tempfile
from collections import defaultdict
from pathlib import Path

import numpy as np
from bench_task_heads import read_data
from making import Line, print_table

from dgaal_cli.task_heads.fit import fit
from dgaal_cli.task_heads.graph import build_graph
from dgaal_cli.task_heads.label_errors import confident_labels

SHARES = (0.05, 0.1, 0.2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--encoder", default="package:efficientnet-lite0")
    parser.add_argument("--cache", type=Path, help="Folder that keeps the features.")
    parser.add_argument("--labels", type=int, default=500, help="Labels of each seed.")
    parser.add_argument("--seeds", type=int, default=10)
    parser.set_defaults(by_group=False)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        rows, labels, _ = read_data(options.cache or Path(temporary), options)
    found = measured(rows, labels, options.labels, options.seeds)
    lines = [Line(name, float(np.mean(values))) for name, values in found.items()]
    print_table(f"bench_label_errors, {options.labels} labels, {options.seeds} seeds", lines)


def measured(rows: np.ndarray, truth: np.ndarray, count: int, seeds: int) -> dict[str, list[float]]:
    """Return percentages by what they measure."""
    classes, graph = int(truth.max()) + 1, build_graph(rows)
    found: dict[str, list[float]] = defaultdict(list)
    for seed in range(seeds):
        generator = np.random.default_rng(seed)
        chosen = generator.choice(len(truth), count, replace=False)
        for share in SHARES:
            known = np.full(len(truth), -1)
            known[chosen] = truth[chosen]
            wrong = generator.choice(chosen, int(share * count), replace=False)
            known[wrong] = (known[wrong] + generator.integers(1, classes, len(wrong))) % classes
            held = fit(rows, known, classes, graph=graph).held_out
            assert held is not None
            given = known[held.positions]
            is_wrong = given != truth[held.positions]
            labels = confident_labels(held.predicted, given)
            order = np.argsort(labels.quality, kind="stable")
            name = f"{100 * share:.0f} % wrong"
            found[f"{name}: precision of the first {len(wrong)}"].append(
                100 * float(is_wrong[order[: len(wrong)]].mean())
            )
            add_filter(found, f"{name}: suspects", labels.is_suspect, is_wrong)
            if importlib.util.find_spec("cleanlab"):
                add_cleanlab(found, name, given, held.predicted, is_wrong)
    return found


def add_filter(
    found: dict[str, list[float]], name: str, suspect: np.ndarray, is_wrong: np.ndarray
) -> None:
    if suspect.any():
        found[f"{name}, precision"].append(100 * float(is_wrong[suspect].mean()))
    found[f"{name}, recall"].append(100 * float(suspect[is_wrong].mean()))


def add_cleanlab(
    found: dict[str, list[float]],
    name: str,
    given: np.ndarray,
    predicted: np.ndarray,
    is_wrong: np.ndarray,
) -> None:
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_label_quality_scores

    order = np.argsort(get_label_quality_scores(given, predicted), kind="stable")
    count = int(is_wrong.sum())
    found[f"{name}: precision of cleanlab's first {count}"].append(
        100 * float(is_wrong[order[:count]].mean())
    )
    issues = find_label_issues(given, predicted, n_jobs=1)
    add_filter(found, f"{name}: cleanlab's issues", issues, is_wrong)


if __name__ == "__main__":
    main()

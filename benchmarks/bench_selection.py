"""How well methods select on the features of a pretrained encoder, beside random labels.

Run ``DATA=SOURCE python benchmarks/bench_selection.py [--cache FOLDER] [--seeds 30]``; the source
has a label for each image. Each seed holds out 35 % of the images for the test, and runs the
rounds of each method on the others without first labels: queries of 10, 10, 20, 40, 80 and 160.
Accuracy in percent of a linear head, the same for each method; differences to random labels are
paired by seed, with 95 % intervals of Student's t. ``--by-group`` never divides near-duplicates
between the two parts, and measures balanced accuracy. ``--own dgaal,random`` also measures the
whole system with their labels: the task model that ``dgaal query`` fits (``--head``),
beside random labels with the linear head.
"""

import argparse
import json
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from bench_task_heads import TEST_SHARE, accuracy, balanced_accuracy, read_data

from dgaal_cli.config.schema import EncoderConfig
from dgaal_cli.encoders.base import Encoder
from dgaal_cli.encoders.registry import load_encoder, located
from dgaal_cli.features.standardized import StandardizedRows
from dgaal_cli.methods.registry import REFERENCE
from dgaal_cli.rounds.in_memory import InMemoryRounds, config_for
from dgaal_cli.simulation.statistics import estimate
from dgaal_cli.task_heads.refit import PoolHeads
from dgaal_cli.training.classifier import predict
from dgaal_cli.training.device import use_threads

QUERIES = (10, 10, 20, 40, 80, 160)
BUDGETS = tuple(np.cumsum(QUERIES).tolist())
MEAN = slice(0, 5)
"""Budgets of the mean: 10 to 160 labels."""
METHODS = "random,margin,badge,typiclust,maxherding,dgaal"
Found = dict[str, dict[int, list[float]]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--encoder", default="package:efficientnet-lite0")
    parser.add_argument("--cache", type=Path, help="Folder that keeps the features.")
    parser.add_argument("--methods", default=METHODS)
    parser.add_argument("--seeds", type=int, default=30)
    parser.add_argument("--own", default="", help="Methods of which T is measured too.")
    parser.add_argument("--head", default="auto", help="Value of classifier.head for --own.")
    parser.add_argument("--by-group", action="store_true")
    parser.add_argument("--keep", type=Path, help="JSON file of results, to continue later.")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        rows, labels, groups = read_data(options.cache or Path(temporary), options)
    encoder = load_encoder(
        located(EncoderConfig(source=options.encoder), Path.cwd()), image_size=32, channels=3
    )
    found = kept(options.keep)
    owned = options.own.split(",") if options.own else []
    kind = "own T" if options.head == "auto" else f"{options.head} T"
    for seed in range(options.seeds):
        split = Split(rows, labels, groups, seed, encoder, is_balanced=options.by_group)
        for method in dict.fromkeys([*options.methods.split(","), *owned]):
            own = found[f"{method}, {kind}"] if method in owned else None
            if seed not in found[method] or (own is not None and seed not in own):
                found[method][seed] = split.run(method, options.head, own)
        if options.keep:
            options.keep.write_text(json.dumps(found))
    for name, results in found.items():
        print(line(name, results, found[REFERENCE]))


def kept(path: Path | None) -> Found:
    found: Found = defaultdict(dict)
    if path and path.exists():
        for name, results in json.loads(path.read_text()).items():
            found[name] = {int(seed): values for seed, values in results.items()}
    return found


class Split:
    """Pool and test images of a seed."""

    def __init__(
        self,
        rows: np.ndarray,
        labels: np.ndarray,
        groups: np.ndarray,
        seed: int,
        encoder: Encoder,
        *,
        is_balanced: bool,
    ) -> None:
        generator = np.random.default_rng(seed)
        names = generator.permutation(np.unique(groups))
        is_test = np.isin(groups, names[: int(TEST_SHARE * len(names))])
        pool = generator.permutation(np.flatnonzero(~is_test))
        self.seed, self.encoder = seed, encoder
        self.rows, self.truth = rows[pool], labels[pool].astype(np.int64)
        self.test, self.answers = rows[is_test], labels[is_test]
        self.classes = [str(number) for number in range(int(labels.max()) + 1)]
        self.features = StandardizedRows.of_pool(self.rows)
        self.score = balanced_accuracy if is_balanced else accuracy

    def run(self, method: str, head: str, own: dict[int, list[float]] | None) -> list[float]:
        """Return the accuracy at each budget; ``own`` gets that of the own task model."""
        pixels = np.zeros((len(self.rows), 8, 8, 3), np.uint8)
        encoder: dict[str, Any] = {"source": self.encoder.name}
        settings: dict[str, Any] = {"method": method, "preset": "tiny", "seed": self.seed}
        settings["threads"] = 1
        query = {"size": QUERIES[0], "budget": BUDGETS[-1]}
        settings |= {"encoder": encoder, "query": query, "classifier": {"head": head}}
        config = config_for(pixels, settings)
        use_threads(1, useful=1)
        test = self.features.like_pool(self.test)
        rounds = InMemoryRounds(
            config,
            pixels,
            self.classes,
            oracle=lambda asked: self.truth[asked.rows],
            features=(self.features, test),
            encoder=self.encoder,
            is_test_hidden=True,
        )
        heads = rounds.heads or PoolHeads(self.rows, len(self.classes), config.classifier.head)
        found: list[float] = []
        owned: list[float] = []
        rounds.train()
        for size in QUERIES:
            rounds.ask(rounds.choose(size))
            trained, data = rounds.train(), rounds.dataset.data
            if data.can_learn:
                prediction = predict(trained.method.classifier, test, data.device)
                predicted = data.task.decide(prediction)
            else:
                predicted = data.task.guess(data, len(test))
            found.append(self.score(predicted, self.answers))
            if own is not None:
                probabilities = heads.fit(rounds.targets).probabilities(self.test)
                owned.append(self.score(probabilities.argmax(axis=1), self.answers))
        if own is not None:
            own[self.seed] = owned
        return found


def line(name: str, results: dict[int, list[float]], reference: dict[int, list[float]]) -> str:
    """Return accuracy and paired difference to random labels, at each budget and in the mean."""
    seeds = sorted(results.keys() & reference.keys())
    own, others = (np.array([each[seed] for seed in seeds]) for each in (results, reference))
    own, others = (np.c_[each, each[:, MEAN].mean(axis=1)] for each in (own, others))
    cells: list[str] = []
    for column in range(own.shape[1]):
        cell = f"{own[:, column].mean():.1f}"
        if name != REFERENCE:
            gain = estimate((own[:, column] - others[:, column]).tolist())
            low, high = gain.interval or (gain.mean, gain.mean)
            cell += f" {gain.mean:+.1f} [{low:+.1f}, {high:+.1f}]"
        cells.append(cell)
    return f"| {name}, {len(seeds)} | " + " | ".join(cells) + " |"


if __name__ == "__main__":
    main()

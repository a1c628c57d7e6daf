"""k-center of 2,500 among 47,500 x 512 features against scikit-learn's pairwise distances.

Run ``python benchmarks/bench_kcenter.py [--dealt 50]``. Both sides get the same float32
features (a mixture of 100 clusters, rectified as penultimate features are), the same 2,500 labeled
centers and the same threads. The baseline is the loop that public core-set code runs: distances of
all points to the newest center by ``sklearn.metrics.pairwise_distances``, then the minimum. It is
timed over ``--dealt`` picks and extrapolated to all, its start on the labeled set included; ours is
timed whole.
"""

import argparse
import time

import numpy as np
from making import Line, print_table
from sklearn.metrics import pairwise_distances

from dgaal_cli.methods.k_center import k_center


def features(count: int, width: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    means = rng.normal(0, 1, (100, width)).astype(np.float32)
    points = means[rng.integers(100, size=count)]
    points += rng.normal(0, 1, (count, width)).astype(np.float32)
    return np.maximum(points, 0)


def baseline(points: np.ndarray, centers: np.ndarray, count: int) -> tuple[list[int], float, float]:
    """Picks, seconds of the start, seconds a pick."""
    began = time.perf_counter()
    gap = np.full(len(points), np.inf, dtype=np.float32)
    for start in range(0, len(centers), 100):
        gap = np.minimum(gap, pairwise_distances(points, centers[start : start + 100]).min(1))
    started = time.perf_counter() - began
    began = time.perf_counter()
    picked: list[int] = []
    for _ in range(count):
        row = int(gap.argmax())
        picked.append(row)
        gap = np.minimum(gap, pairwise_distances(points, points[row : row + 1])[:, 0])
    return picked, started, (time.perf_counter() - began) / count


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--points", type=int, default=47_500)
    parser.add_argument("--labeled", type=int, default=2_500)
    parser.add_argument("--count", type=int, default=2_500)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--dealt", type=int, default=50)
    options = parser.parse_args()
    everything = features(options.points + options.labeled, options.width, 0)
    points, centers = everything[: options.points], everything[options.points :]

    theirs, started, each = baseline(points, centers, min(options.dealt, options.count))
    whole = started + each * options.count
    began = time.perf_counter()
    ours = k_center(points, centers, options.count)
    seconds = time.perf_counter() - began
    print_table(
        f"{options.count:,} centers among {options.points:,} x {options.width}",
        [
            Line("scikit-learn / dgaal, seconds", whole / seconds, ">= 5"),
            Line("dgaal, s", seconds),
            Line("scikit-learn, s (extrapolated)", whole),
            Line("scikit-learn, ms a pick", 1000 * each),
            Line(f"alike among the first {len(theirs)}", agreeing(theirs, ours), ">= 1"),
        ],
    )


def agreeing(theirs: list[int], ours: list[int]) -> float:
    """Share of picks that are the same, place by place."""
    return float(np.mean([a == b for a, b in zip(theirs, ours, strict=False)]))


if __name__ == "__main__":
    main()

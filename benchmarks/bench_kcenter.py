"""k-center with 2,500 of 47,500 x 512 features, compared with scikit-learn's pairwise distances.

Run ``python benchmarks/bench_kcenter.py [--timed 50]``. Both sides use the same float32
features (a mixture of 100 clusters, rectified like penultimate features), the same 2,500 labeled
centers and the same number of threads. The baseline is the loop of public core-set code: distances
of all points to the newest center by ``sklearn.metrics.pairwise_distances``, then the minimum. It
is timed over ``--timed`` picks and extrapolated to all picks, including its start on the labeled
set; ours is timed completely.
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
    """Return the picks, seconds of the start, and seconds per pick."""
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
    parser.add_argument("--timed", type=int, default=50)
    options = parser.parse_args()
    all_features = features(options.points + options.labeled, options.width, 0)
    points, centers = all_features[: options.points], all_features[options.points :]

    theirs, started, pick_seconds = baseline(points, centers, min(options.timed, options.count))
    extrapolated = started + pick_seconds * options.count
    began = time.perf_counter()
    ours = k_center(points, centers, options.count)
    seconds = time.perf_counter() - began
    print_table(
        f"{options.count:,} centers among {options.points:,} x {options.width}",
        [
            Line("scikit-learn / dgaal, seconds", extrapolated / seconds, ">= 5"),
            Line("dgaal, s", seconds),
            Line("scikit-learn, s (extrapolated)", extrapolated),
            Line("scikit-learn, ms per pick", 1000 * pick_seconds),
            Line(f"equal among the first {len(theirs)}", agreement(theirs, ours), ">= 1"),
        ],
    )


def agreement(theirs: list[int], ours: list[int]) -> float:
    """Return the share of positions with the same pick."""
    return float(np.mean([a == b for a, b in zip(theirs, ours, strict=False)]))


if __name__ == "__main__":
    main()

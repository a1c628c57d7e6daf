"""The blind audit beside a random test set: coverage, width and labels.

Run ``python benchmarks/bench_audit.py [--draws 1000]``. Each line is a pool of 5,000 images and a
model: ``calibrated`` is right as often as it states, ``too sure`` states more, and ``reversed`` is
surest where it is most often wrong. Measured for audits of 30, 60 and 200 images: the share of
nominal 95 % intervals that contain the pool's accuracy; their mean width, relative to that of
Neyman's allocation with known chances to be right; the images, relative to those of a random test
set with the same width; the share of runs in which the bound of ``status --until`` was ever too
high, asked after every fifth label (in a fifth of the draws).
"""

import argparse

import numpy as np
from making import Line, print_table

from dgaal_cli.audit.answers import AuditAnswer
from dgaal_cli.audit.anytime import lower_bound
from dgaal_cli.audit.design import draw
from dgaal_cli.audit.estimate import estimate, wilson

POOL = 5000
ACCURACIES = (0.6, 0.8, 0.95, 0.99)
COUNTS = (30, 60, 200)
Z = 1.96


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=1000)
    draws = parser.parse_args().draws
    lines: list[Line] = []
    for kind in ("calibrated", "too sure", "reversed"):
        for accuracy in ACCURACIES:
            chances, confidences = model(kind, accuracy)
            is_right = np.random.default_rng(2).random(POOL) < chances
            for count in COUNTS:
                name = f"{kind} {is_right.mean():.3f}, {count} images: "
                lines += measured(name, chances, confidences, is_right, count, draws)
    print_table(f"bench_audit, {draws} draws", lines)


def model(kind: str, accuracy: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the chance to be right on each image, and the stated confidence."""
    random = np.random.default_rng(1)
    chances = random.beta(6 * accuracy, 6 * (1 - accuracy), POOL)
    if kind == "calibrated":
        return chances, chances
    return chances, np.sqrt(chances) if kind == "too sure" else 1 - chances


def measured(
    name: str,
    chances: np.ndarray,
    confidences: np.ndarray,
    is_right: np.ndarray,
    count: int,
    draws: int,
) -> list[Line]:
    true = float(is_right.mean())
    contained, false, widths = 0, 0, list[float]()
    for seed in range(draws):
        answers = [
            AuditAnswer(
                audit=0,
                total=POOL,
                stratum=each.stratum,
                is_right=bool(is_right[each.position]),
            )
            for each in draw(confidences, count, seed=seed)
        ]
        found = estimate(answers)
        contained += found.low <= true <= found.high
        widths.append(found.high - found.low)
        if seed < draws // 5:
            looks = range(5, len(answers) + 1, 5)
            false += any(lower_bound(answers[:look]) > true for look in looks)
    width = float(np.mean(widths))
    neyman = 2 * Z * float(np.sqrt(chances * (1 - chances)).mean()) / count**0.5
    return [
        Line(f"{name}coverage", contained / draws, ">= 0.94"),
        Line(f"{name}width / Neyman's", width / neyman, "<= 1.3"),
        Line(f"{name}images / random test set's", count / random_images(true, width), "<= 0.5"),
        Line(f"{name}runs with a false bound", false / max(1, draws // 5), "<= 0.05"),
    ]


def random_images(accuracy: float, width: float) -> int:
    """Return how many random images have an interval of this width."""
    low, high = 1, 100_000
    while low < high:
        middle = (low + high) // 2
        found = wilson(accuracy, middle)
        low, high = (low, middle) if found.high - found.low <= width else (middle + 1, high)
    return low


if __name__ == "__main__":
    main()

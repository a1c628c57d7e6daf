"""Which classes have no label yet, in words."""

from collections.abc import Collection, Sequence


def class_gaps(present: Collection[int], names: Sequence[str]) -> list[str]:
    """Name the classes without training labels and the effect on the round; empty if none lacks.

    Args:
        present: Indexes of the classes that have some.
        names: Names of all classes.
    """
    if len(present) < 2:
        return [_cold_start(len(present))]
    absent = [name for k, name in enumerate(names) if k not in present]
    if not absent:
        return []
    listed = ", ".join(absent[:8]) + (", ..." if len(absent) > 8 else "")
    return [f"no training labels yet for {len(absent)} of the classes: {listed}"]


def _cold_start(classes: int) -> str:
    what = "labels of 1 class so far:"
    if not classes:
        what = (
            "no labels yet: a sampler that separates labeled from unlabeled images has nothing to "
            "learn, and"
        )
    return (
        f"{what} the task model needs two classes; the next query shows images typical of "
        "clusters, or random ones if the method learns nothing from images alone"
    )

"""Held-out predictions: what each kind of model says of a label that it has not seen.

Each class counts the same in training and in the choice between models, whatever the number of
its labels, so that rare classes are not given up. Labels of a group of images, such as those of a
patient, are held out together: a model that learned some of them does better on the others.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dgaal_cli.features.kernel import Floats, Ids
from dgaal_cli.task_heads.graph import NeighborGraph
from dgaal_cli.task_heads.logistic import LinearHead, fit_logistic, softmax
from dgaal_cli.task_heads.spreading import Spread, is_significant, solve

FOLDS = 5
_FOLD_TOLERANCE = 1e-6
"""Of heads that only predict held-out labels: more changes no probability that matters."""


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """The labels of a pool."""

    positions: Ids
    """(n,)."""
    classes: Ids
    """(n,): class of each, 0..C - 1."""
    count: int
    """Number of classes C."""
    folds: Ids
    """(n,): fold of each label; -1 if it is never held out, as a class would have no other."""

    def targets(self, *, without: int | None = None) -> Floats:
        """Return (n, C): the weights of the labels, the same sum for each class that has some.

        Args:
            without: Fold whose labels have weight 0.
        """
        targets = np.eye(self.count)[self.classes]
        if without is not None:
            targets[self.folds == without] = 0.0
        sums = targets.sum(axis=0)
        equal = sums.sum() / max(int((sums > 0).sum()), 1)
        return targets * np.divide(equal, sums, out=np.zeros_like(sums), where=sums > 0)

    @property
    def held_out(self) -> Ids:
        """Numbers of the labels that are held out once."""
        return np.flatnonzero(self.folds >= 0)

    @property
    def has_folds(self) -> bool:
        """Whether two classes have labels that are held out."""
        return len(np.unique(self.classes[self.held_out])) >= 2


def labels_of(
    labels: npt.NDArray[np.integer], count: int, groups: npt.NDArray[np.integer] | None = None
) -> Labels:
    """Collect the labels of a pool and divide them into folds, each class evenly.

    Args:
        labels: (N,), -1 where an image has no label.
        count: Number of classes.
        groups: (N,), the same for images of a group, whose labels get the same fold. None: each
            image is a group of its own.
    """
    positions = np.flatnonzero(labels >= 0)
    classes = labels[positions].astype(np.int64)
    names = positions if groups is None else groups[positions]
    of_group = np.unique(names, return_inverse=True)[1]
    return Labels(positions, classes, count, _folds_of_groups(classes, of_group)[of_group])


def _folds_of_groups(classes: Ids, groups: Ids) -> Ids:
    """Return the fold of each group (G,); -1 if a class would have no label outside the fold.

    Args:
        classes: (n,): class of each label.
        groups: (n,): group of each label, 0..G - 1.
    """
    folds = np.full(groups.max(initial=-1) + 1, -1)
    generator, first = np.random.default_rng(0), 0
    for own in _scarcest_shared_first(classes, groups):
        members = groups[generator.permutation(np.flatnonzero(classes == own))]
        names, at, sizes = np.unique(members, return_index=True, return_counts=True)
        if len(names) < 2:
            continue
        is_open = folds[names] < 0
        held = np.bincount(folds[names[~is_open]], sizes[~is_open], FOLDS).tolist()
        for place in np.flatnonzero(is_open)[np.argsort(at[is_open])].tolist():
            fold = min(range(FOLDS), key=lambda each: (held[each], (each - first) % FOLDS))
            folds[names[place]] = fold
            held[fold] += sizes[place]
        first += len(names)
    for own in np.unique(classes).tolist():
        members = groups[classes == own]
        if len(np.unique(folds[members])) == 1:
            folds[members] = -1
    return folds


def _scarcest_shared_first(classes: Ids, groups: Ids) -> list[int]:
    """Return the classes; of those that share groups with others, the one in fewest groups first.

    Of a class whose groups all have a fold already, none could be put elsewhere.
    """
    pairs = np.unique(np.stack([groups, classes]), axis=1)
    is_shared = np.bincount(pairs[0])[pairs[0]] > 1
    counts = np.bincount(pairs[1])
    shared = set(pairs[1][is_shared].tolist())
    return sorted(np.unique(classes).tolist(), key=lambda own: counts[own] if own in shared else 0)


@dataclass(frozen=True, slots=True)
class GraphKind:
    """Label spreading with some settings."""

    neighbors: int
    alpha: float


@dataclass(frozen=True, slots=True)
class HeadKind:
    """A logistic head with some settings."""

    width: int
    """Components that it sees."""
    c: float
    """Inverse strength of its penalty, for features whose mean square is 1."""


def spread_folds(graph: NeighborGraph, kind: GraphKind, labels: Labels) -> tuple[Spread, Floats]:
    """Spread all labels, and predict each held-out label from the other folds.

    Labels flow independently of each other, so one solution per fold and class serves both.

    Returns:
        The spread of all labels, and probabilities (m, C) of the held-out labels.
    """
    affinity = graph.affinity(kind.neighbors)
    folds, classes = len(np.unique(labels.folds)), labels.count
    own = np.unique(labels.folds, return_inverse=True)[1]
    right = np.zeros((folds * classes, len(graph)))
    right[own * classes + labels.classes, labels.positions] = 1.0
    flows = solve(affinity, right, kind.alpha).reshape(folds, classes, len(graph))
    counts = np.zeros((folds, classes))
    np.add.at(counts, (own, labels.classes), 1.0)
    everywhere, totals = flows.sum(axis=0), counts.sum(axis=0)
    values = _averages(everywhere, totals)
    reached = affinity.reached_from(labels.positions)
    spread = Spread(values, reached & is_significant(values, len(labels.positions)))
    held = labels.held_out
    others = np.empty((len(held), classes))
    for fold in np.unique(own[held]).tolist():
        inside = own[held] == fold
        at = labels.positions[held[inside]]
        others[inside] = _averages((everywhere - flows[fold])[:, at], totals - counts[fold])
    is_known = is_significant(others, len(labels.positions))
    return spread, Spread(others, is_known).probabilities()


def head_folds(
    rows: Floats, kind: HeadKind, labels: Labels, starts: dict[int, LinearHead]
) -> Floats:
    """Predict each held-out label by a head that was fitted to the other folds.

    Args:
        rows: Labeled rows, see ``head_rows``, or their coordinates by ``in_own_span``.
        kind: Settings of the head.
        labels: Labels of the rows.
        starts: Head of each fold to begin with; replaced by the fitted ones.

    Returns:
        Probabilities (m, C).
    """
    held = labels.held_out
    predicted = np.empty((len(held), labels.count))
    for fold in np.unique(labels.folds[held]).tolist():
        targets = labels.targets(without=fold)
        start = starts.get(fold)
        head = fit_logistic(rows, targets, kind.c, start=start, tolerance=_FOLD_TOLERANCE)
        starts[fold] = head
        inside = labels.folds[held] == fold
        predicted[inside] = softmax(head.logits(rows[held[inside]]))
    return predicted


def _averages(flows: Floats, counts: Floats) -> Floats:
    """Return (n, C): what came from one label of each class on average, of flows (C, n)."""
    return np.maximum((flows / np.maximum(counts, 1.0)[:, None]).T, 0.0)

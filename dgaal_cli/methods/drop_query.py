"""DropQuery: images whose predicted class changes when features are dropped, one of each cluster.

Gupte, Aklilu, Nirschl & Yeung-Levy 2024, "Revisiting Active Learning in the Era of Vision
Foundation Models" (TMLR). A linear classifier predicts each row of features, and ``ITERATIONS``
copies of it in which a share ``RATE`` of the features is zero. Candidates are the rows whose class
changes in most copies; they are clustered into as many clusters as there are picks, and the row
nearest to each center is asked.

Differences: until two classes have labels it is MaxHerding, while the paper asks the centers of
clusters first. The dropped features of an image depend on its id only, so the same labels ask the
same images. If there are fewer candidates than picks, rows that changed in fewer copies join. At
most ``MAX_CLUSTERED`` candidates, chosen at random, determine the clusters.
"""

import numpy as np

from dgaal_cli.features.clusters import k_means_centers
from dgaal_cli.features.herding import Picks, max_herding
from dgaal_cli.features.kernel import FeatureRows, Floats, Ids, blocks, sample, squared_distances
from dgaal_cli.methods.feature_rules import FeatureRule, PoolAnswers
from dgaal_cli.task_heads.logistic import LinearHead, fit_logistic
from dgaal_cli.task_heads.scout import PENALTY

RATE = 0.75
"""Share of the features that are dropped."""
ITERATIONS = 3
MAX_CLUSTERED = 8192


def changed_share(rows: FeatureRows, answers: PoolAnswers) -> Floats:
    """Return (N,): in which share of its copies the class of each row (N, D) changes."""
    positions = np.flatnonzero(answers.labels >= 0)
    classes, own = np.unique(answers.labels[positions], return_inverse=True)
    targets = np.eye(len(classes))[own]
    head = fit_logistic(rows[positions].astype(np.float64), targets, PENALTY)
    found = np.empty(len(rows))
    for part in blocks(len(rows)):
        found[part] = _changed(rows[part].astype(np.float64), answers.ids[part], head)
    return found


def _changed(points: Floats, ids: Ids, head: LinearHead) -> Floats:
    predicted = head.logits(points).argmax(axis=1)
    kept = np.stack([kept_features(item, points.shape[1]) for item in ids.tolist()])
    changes = [
        head.logits(points * kept[:, copy] / (1 - RATE)).argmax(axis=1) != predicted
        for copy in range(ITERATIONS)
    ]
    return np.mean(changes, axis=0)


def kept_features(item: int, width: int) -> np.ndarray:
    """Return (ITERATIONS, width): which features of an item each copy keeps."""
    return np.random.default_rng(item).random((ITERATIONS, width)) >= RATE


def pick_clusters(
    rows: FeatureRows, ids: Ids, labeled: Ids, count: int, *, weights: Floats | None
) -> Picks:
    """Pick one candidate of each cluster; ``weights`` are those of ``changed_share``.

    See ``feature_rules.Pick``. Without weights it is ``max_herding``. The largest cluster is first.
    """
    if weights is None:
        return max_herding(rows, ids, labeled, count)
    is_open = np.ones(len(ids), np.bool_)
    is_open[labeled] = False
    count = min(count, int(is_open.sum()))
    candidates = _candidates(weights, ids, is_open, count)
    positions = candidates
    if count < len(candidates):
        positions = candidates[_nearest_to_centers(rows, ids, candidates, count)]
    return Picks(positions=positions, values=weights[positions], scores=weights)


def _candidates(weights: Floats, ids: Ids, is_open: np.ndarray, count: int) -> Ids:
    """Return positions ordered by id: rows that changed in most copies, else the most changed."""
    chosen = np.flatnonzero(is_open & (weights > 0.5))
    if len(chosen) < count:
        order = np.lexsort((ids, -weights, ~is_open))
        chosen = order[: max(count, 0)]
    return chosen[np.argsort(ids[chosen])]


def _nearest_to_centers(rows: FeatureRows, ids: Ids, candidates: Ids, count: int) -> Ids:
    """Return places in ``candidates``, each once: the row nearest to the center of each cluster."""
    taught = candidates[sample(ids[candidates], MAX_CLUSTERED)]
    centers = k_means_centers(rows[taught].astype(np.float64), count)
    sizes, best, gaps = np.zeros(count), np.full(count, -1), np.full(count, np.inf)
    for part in blocks(len(candidates)):
        squared = squared_distances(rows[candidates[part]].astype(np.float64), centers)
        nearest, own = squared.argmin(axis=1), squared.min(axis=1)
        sizes += np.bincount(nearest, minlength=count)
        for place in np.argsort(-own, kind="stable").tolist():
            if own[place] < gaps[nearest[place]]:
                best[nearest[place]], gaps[nearest[place]] = part.start + place, own[place]
    order = np.argsort(-sizes, kind="stable")
    picked = best[order][best[order] >= 0]
    left = np.setdiff1d(np.arange(len(candidates)), picked)  # equal rows make empty clusters
    return np.concatenate([picked, left[: count - len(picked)]])


DROP_QUERY = FeatureRule(
    pick_clusters, "the model changes its mind if some features are missing", changed_share
)

"""Guesses that improve with each answer; used for hints, order and more images."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from dgaal_cli.ids import ClassUid, ItemId
from dgaal_cli.labeling.view import Guesses, LearnerState
from dgaal_cli.store.records import QueryEntry
from dgaal_cli.workspace import Workspace

if TYPE_CHECKING:
    import numpy as np

    from dgaal_cli.scoring.prediction_file import PoolPredictions

MAX_GUESSES = 40
"""Max number of classes returned per guess."""


class LiveGuesses:
    """The learner of one session, for the images with predictions. Uses NumPy, not torch."""

    def __init__(self, predictions: "PoolPredictions", classes: Sequence[ClassUid]) -> None:
        import numpy as np

        from dgaal_cli.scoring.quick_learner import QuickLearner

        self._predictions = predictions
        self._norms = np.einsum("nd,nd->n", predictions.features, predictions.features)
        self._row_of = {ItemId(int(item)): row for row, item in enumerate(predictions.items)}
        self._uids = [ClassUid(uid) for uid in predictions.class_uids]
        self._learner = QuickLearner(_columns(predictions), predictions.probabilities)
        self._learned: dict[ItemId, int] = {}
        for uid in classes:
            self._column(uid)

    def start(self, labels: Mapping[ItemId, ClassUid]) -> None:
        """Learn the existing labels."""
        import numpy as np

        known, rows = self._known([*labels])
        self._learned = {item: self._column(labels[item]) for item in known}
        self._learner.fit(rows, np.array([*self._learned.values()], np.int64))

    def set_label(self, item_id: ItemId, uid: ClassUid | None) -> None:
        """Learn a new, changed or removed answer."""
        row = self._row_of.get(item_id)
        if row is None:
            return
        before = self._learned.get(item_id)
        after = None if uid is None else self._column(uid)
        if before == after:
            return
        if before is not None:
            self._learner.forget(row, self._learned.pop(item_id))
        if after is not None:
            self._learner.learn(row, after)
            self._learned[item_id] = after

    def task_model(self, items: Sequence[ItemId]) -> dict[ItemId, ClassUid]:
        """Return the predictions of the task model, without the learner."""
        known, rows = self._known(items)
        if not known or not self._predictions.probabilities.shape[1]:
            return {}
        columns: list[int] = self._predictions.probabilities[rows].argmax(axis=1).tolist()
        return {i: self._uids[column] for i, column in zip(known, columns, strict=True)}

    def guesses(self, items: Sequence[ItemId]) -> dict[ItemId, Guesses]:
        """Guess classes, most probable first; images without features are omitted."""
        import numpy as np

        known, rows = self._known(items)
        if not known or not self._uids:
            return {}
        shares = self._learner.guess(rows)
        order = np.argsort(-shares, axis=1, kind="stable")[:, :MAX_GUESSES]
        best: list[list[int]] = order.tolist()
        return {
            item: tuple((self._uids[column], float(shares[at, column])) for column in columns)
            for at, (item, columns) in enumerate(zip(known, best, strict=True))
        }

    def doubts(self, items: Sequence[ItemId]) -> dict[ItemId, float]:
        """Return the margin between the two most probable classes; unknown images are omitted."""
        from dgaal_cli.scoring.quick_learner import margins

        known, rows = self._known(items)
        if not known or not self._uids:
            return {}
        gaps: list[float] = margins(self._learner.guess(rows)).tolist()
        return dict(zip(known, gaps, strict=True))

    def nearest(self, item_id: ItemId, count: int) -> list[tuple[ItemId, ClassUid]]:
        """Return the learned images nearest by features with their classes, nearest first.

        The distance is Euclidean. Images without features have no neighbors.
        """
        import numpy as np

        row = self._row_of.get(item_id)
        others = [item for item in self._learned if item != item_id]
        if row is None or not others:
            return []
        features = self._predictions.features
        rows = np.fromiter((self._row_of[item] for item in others), np.int64, len(others))
        # Squared distances less what all rows share: needs one product instead of differences.
        gaps = self._norms[rows] - 2.0 * (features[rows] @ features[row])
        order: list[int] = np.argsort(gaps, kind="stable")[:count].tolist()
        return [(others[at], self._uids[self._learned[others[at]]]) for at in order]

    def doubtful(self, count: int, *, without: set[ItemId]) -> list[QueryEntry]:
        """Choose the images of the pool with the smallest margin.

        These are provisional: the networks that train meanwhile would choose others. An image is
        taken only if no image taken before it is nearly the same to the sampler.
        """
        import numpy as np

        from dgaal_cli.scoring.quick_learner import margins

        taken = without | set(self._learned)
        free = np.array([row for item, row in self._row_of.items() if item not in taken], np.int64)
        if not len(free):
            return []
        shares = self._learner.guess(free)
        margin = margins(shares)
        order = np.argsort(margin, kind="stable")[: 4 * count]
        chosen = _spread(self._predictions.features[free[order]], count)
        names = self.guesses(
            [ItemId(int(self._predictions.items[free[order[at]]])) for at in chosen]
        )
        return [
            QueryEntry(
                item_id=item,
                rank=rank,
                score=1.0 - float(margin[order[at]]),
                predicted=guess[0][0],
                probabilities=guess[:5],
                reason="kept labeling while the next round trains",
            )
            for rank, (at, (item, guess)) in enumerate(
                zip(chosen, names.items(), strict=True), start=1
            )
        ]

    def _known(self, items: Sequence[ItemId]) -> "tuple[list[ItemId], np.ndarray]":
        """Return the images with features, and their rows."""
        import numpy as np

        known = [item for item in items if item in self._row_of]
        return known, np.array([self._row_of[item] for item in known], np.int64)

    def _column(self, uid: ClassUid) -> int:
        if uid not in self._uids:
            self._uids.append(uid)
            self._learner.grow()
        return self._uids.index(uid)


class SessionLearner:
    """The learner of a session, if there is one; the annotator can switch it off."""

    def __init__(self, *, is_on: bool) -> None:
        self.guesses: LiveGuesses | None = None
        self.is_on = is_on

    @property
    def active(self) -> LiveGuesses | None:
        """The learner if it exists and is on; else None."""
        return self.guesses if self.is_on else None

    @property
    def state(self) -> LearnerState:
        """State for the view."""
        return "none" if self.guesses is None else "on" if self.is_on else "off"

    def set_label(self, item_id: ItemId, uid: ClassUid | None) -> None:
        """Learn an answer, even if switched off; None means a removed answer."""
        if self.guesses is not None:
            self.guesses.set_label(item_id, uid)

    def task_model(self, items: Sequence[ItemId]) -> dict[ItemId, ClassUid]:
        """Predictions of the task model; empty without a learner."""
        return self.guesses.task_model(items) if self.guesses else {}


def _columns(predictions: "PoolPredictions") -> "np.ndarray":
    """The sampler's features, joined with the task model's output."""
    import numpy as np

    if predictions.probabilities.shape[1] > MAX_GUESSES:
        return predictions.features
    return np.hstack([predictions.features, np.log(np.maximum(predictions.probabilities, 1e-4))])


def load_guesses(
    workspace: Workspace,
    *,
    round: int | None,  # noqa: A002
    classes: Sequence[ClassUid],
) -> LiveGuesses | None:
    """Open the predictions of the sampler that was exported in ``round``, or by features for it.

    Returns:
        None where there is none, it is of another sampler than the exported one, or of another
        round: the guesses that came with the query are the better ones then.
    """
    from dgaal_cli.artifacts.artifact_bytes import read_artifact
    from dgaal_cli.errors import DgaalError
    from dgaal_cli.labeling.pool_predictions import SAMPLER
    from dgaal_cli.scoring.prediction_file import FILE_NAME, OF_FEATURES, load_pool_predictions

    predictions = load_pool_predictions(workspace.cache_path / FILE_NAME)
    if predictions is None or round is None or predictions.round != round:
        return None
    if predictions.sampler_sha == OF_FEATURES:
        return LiveGuesses(predictions, classes)
    try:
        artifact = read_artifact(workspace.artifacts_path / SAMPLER, role="sampler")
    except DgaalError:
        return None
    return (
        LiveGuesses(predictions, classes)
        if artifact.sha256.hex() == predictions.sampler_sha
        else None
    )


def _spread(features: "np.ndarray", count: int) -> list[int]:
    """Greedy choice in the given order that skips near-duplicates."""
    import numpy as np

    if len(features) <= count:
        return list(range(len(features)))
    gaps = ((features[:, None] - features[None]) ** 2).sum(axis=2)
    near = 0.1 * float(np.median(gaps[gaps > 0])) if (gaps > 0).any() else 0.0
    chosen: list[int] = []
    for at in range(len(features)):
        if len(chosen) < count and all(gaps[at, other] > near for other in chosen):
            chosen.append(at)
    rest = [at for at in range(len(features)) if at not in chosen]
    return sorted([*chosen, *rest[: count - len(chosen)]])

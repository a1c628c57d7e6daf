"""The task model on the features of a workspace's pool, with its answers."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dgaal_cli.config.schema import Head
from dgaal_cli.features.cache import CachedRows
from dgaal_cli.features.kernel import Floats, Ids
from dgaal_cli.ids import ClassUid, ItemId
from dgaal_cli.rounds.audit_draw import Predicted
from dgaal_cli.store.records import ClassRecord
from dgaal_cli.task_heads.fit import FeatureModel, fit
from dgaal_cli.task_heads.graph_file import cached_graph


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PoolModel:
    """A fitted model, and its answers for the images of a pool."""

    model: FeatureModel
    ids: Ids
    """(N,): items of the images with features."""
    class_uids: tuple[ClassUid, ...]
    """Classes of the C columns."""
    probabilities: Floats
    """(N, C)."""

    def predict(self, items: Sequence[ItemId]) -> Predicted:
        """Predict images; those without features are left out."""
        order = np.argsort(self.ids)
        places = np.searchsorted(self.ids, items, sorter=order).clip(max=len(order) - 1)
        rows = order[places]
        rows = rows[self.ids[rows] == items]
        probabilities = self.probabilities[rows]
        columns: list[int] = probabilities.argmax(axis=1).tolist()
        return Predicted(
            item_ids=[ItemId(item) for item in self.ids[rows].tolist()],
            classes=[self.class_uids[column] for column in columns],
            confidences=probabilities.max(axis=1),
        )


def fit_pool_model(
    rows: CachedRows,
    ids: Ids,
    labels: Ids,
    classes: Sequence[ClassRecord],
    head: Head,
    groups: Ids,
) -> PoolModel:
    """Fit the task model to the labels of a pool; its graph is kept in the feature cache.

    Args:
        rows: Features (N, D).
        ids: Item of each row, (N,).
        labels: Position in ``classes`` of each label, (N,); -1 without one. At least one has some.
        classes: Classes in use.
        head: Kind of model, as ``classifier.head``.
        groups: Group of each row, (N,), which is held out as a whole.

    Raises:
        StorageError: The graph cannot be written.
    """
    graph = cached_graph(rows)
    model = fit(rows, labels, len(classes), groups=groups, graph=graph, head=head)
    return PoolModel(
        model=model,
        ids=ids,
        class_uids=tuple(record.uid for record in classes),
        probabilities=model.pool_probabilities(),
    )

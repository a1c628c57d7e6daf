"""The task model of a pool whose labels grow: the graph is built once, the model fitted again."""

from functools import cached_property

import numpy as np
import numpy.typing as npt

from dgaal_cli.config.schema import Head
from dgaal_cli.features.kernel import FeatureRows
from dgaal_cli.task_heads.fit import FeatureModel, fit
from dgaal_cli.task_heads.graph import NeighborGraph, build_graph


class PoolHeads:
    """Fits the task model to the labels of a pool; the last fit is kept.

    Args:
        features: Features (N, D) of the pool, as the encoder computed them.
        class_count: Number of classes C.
        head: Kind of model, as ``classifier.head``.
        groups: Group of each image, (N,), which is held out as a whole; None: no groups.
    """

    def __init__(
        self,
        features: FeatureRows,
        class_count: int,
        head: Head,
        groups: npt.NDArray[np.integer] | None = None,
    ) -> None:
        self._features, self._count, self._groups = features, class_count, groups
        self._head: Head = head
        self._last: tuple[npt.NDArray[np.integer], FeatureModel] | None = None

    def fit(self, labels: npt.NDArray[np.integer]) -> FeatureModel:
        """Return the model of labels (N,), -1 where there is none; see ``fit.fit``."""
        if self._last is None or not np.array_equal(self._last[0], labels):
            model = fit(
                self._features,
                labels,
                self._count,
                groups=self._groups,
                graph=self._graph,
                head=self._head,
            )
            self._last = labels.copy(), model
        return self._last[1]

    @cached_property
    def _graph(self) -> NeighborGraph:
        return build_graph(self._features)

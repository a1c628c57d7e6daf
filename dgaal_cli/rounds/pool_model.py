"""The task model on features that guessed the classes of a query, with its answers."""

from dataclasses import dataclass

from dgaal_cli.features.kernel import Floats, Ids
from dgaal_cli.ids import ClassUid
from dgaal_cli.task_heads.fit import FeatureModel


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

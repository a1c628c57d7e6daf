"""A query that is chosen, but not stored yet."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dgaal_cli.store.records import Query

if TYPE_CHECKING:  # NumPy is imported only where it is needed
    from dgaal_cli.rounds.audit_draw import Predict
    from dgaal_cli.rounds.pool_model import PoolModel


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenEntries:
    """The entries of a query, and what choosing them changed."""

    query: Query
    left: int
    """Unlabeled images of the pool that it does not ask."""
    promoted: int = 0
    """Synthetic images that joined the labels with their inherited label."""
    model: "PoolModel | None" = None
    """Task model on features that guessed the classes, if there is one."""
    predict: "Predict | None" = None
    """Predicts images of the pool with the newest task model; None without one."""

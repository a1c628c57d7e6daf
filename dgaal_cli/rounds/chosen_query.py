"""A query that is chosen, but not stored yet."""

from dataclasses import dataclass

from dgaal_cli.store.records import Query


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenEntries:
    """The entries of a query, and what choosing them changed."""

    query: Query
    left: int
    """Unlabeled images of the pool that it does not ask."""
    promoted: int = 0
    """Synthetic images that joined the labels with their inherited label."""

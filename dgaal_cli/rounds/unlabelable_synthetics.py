"""Unlabelable synthetic images: those that people answered with "can't tell".

If more than ``label.max_junk`` of a query's synthetic images were unlabelable, the next query has
none; after that the generator is trained again. Methods that ask only synthetic images give a
warning instead.
"""

from dataclasses import dataclass

from dgaal_cli.store.fold import standing_events
from dgaal_cli.store.protocol import Store

MIN_JUDGED = 5
"""Minimum number of answered synthetic images for a decision."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnlabelableCount:
    """Answers to the synthetic images of one query."""

    judged: int = 0
    """Answered synthetic images."""
    unlabelable: int = 0
    """Of these, answered with "can't tell"."""

    def is_over(self, max_share: float) -> bool:
        """Return whether enough were judged and more than ``max_share`` was unlabelable."""
        return self.judged >= MIN_JUDGED and self.unlabelable > max_share * self.judged


def count_unlabelable(store: Store) -> UnlabelableCount:
    """Count the unlabelable synthetic images of the newest query, open or closed."""
    query = store.last_query()
    if query is None:
        return UnlabelableCount()
    asked = {entry.item_id for entry in query.entries}
    synthetic = {item.item_id for item in store.items() if item.is_synthetic} & asked
    answers = standing_events(store.events(round=query.round)) if synthetic else []
    kinds = [each.says for each in answers if each.item_id in synthetic and each.says != "skip"]
    return UnlabelableCount(judged=len(kinds), unlabelable=kinds.count("cannot_tell"))

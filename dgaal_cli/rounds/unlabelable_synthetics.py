"""Drawings that nobody could name, and the pause that too many of them bring.

A query after which more than ``label.max_junk`` of the drawn images were answered "can't tell" is
followed by one without drawings; by then the generator has been trained again. The methods that ask
nothing but what they draw cannot pause: they are warned about.
"""

from dataclasses import dataclass

from dgaal_cli.store.fold import standing_events
from dgaal_cli.store.protocol import Store
from dgaal_cli.store.records import Query

FEW_JUDGED = 5
"""Fewer answered synthetic images say nothing about a generator."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Junk:
    """How the drawings of one query fared."""

    judged: int = 0
    """Synthetic images that a person was asked about and answered."""
    junk: int = 0
    """Those of them that nobody could name."""

    def is_over(self, most: float) -> bool:
        """Whether it was enough images, and more than the share ``most`` of them was junk."""
        return self.judged >= FEW_JUDGED and self.junk > most * self.judged


def newest_junk(store: Store) -> Junk:
    """Judge the newest query, open or closed."""
    query = store.last_query()
    return _junk_of(store, query) if query is not None else Junk()


def _junk_of(store: Store, query: Query) -> Junk:
    asked = {entry.item_id for entry in query.entries}
    drawn = {item.item_id for item in store.items() if item.is_synthetic} & asked
    answers = standing_events(store.events(round=query.round)) if drawn else []
    kinds = [given.kind for given in answers if given.item_id in drawn and given.kind != "skip"]
    return Junk(judged=len(kinds), junk=kinds.count("cannot_tell"))

"""Counts of the current labels and answers."""

from dataclasses import asdict, dataclass

from dgaal_cli.store.open import open_store
from dgaal_cli.store.records import AnswerTally, Counts
from dgaal_cli.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelStats(AnswerTally):
    """Counts of the current labels and answers."""

    counts: Counts
    by_class: tuple[tuple[str, int], ...]
    """Pool labels of each class, in the order of the classes."""


def label_stats(workspace: Workspace) -> LabelStats:
    """Count labels by class, annotator and provenance."""
    with open_store(workspace, read_only=True) as store:
        counts = store.counts()
        classes = store.classes()
        tally = store.tally()
    return LabelStats(
        counts=counts,
        by_class=tuple((record.name, counts.by_class.get(record.uid, 0)) for record in classes),
        **asdict(tally),
    )

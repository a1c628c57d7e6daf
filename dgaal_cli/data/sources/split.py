"""One split of a source: ``SPEC#train``."""

from collections.abc import Iterator

from dgaal_cli.data.sources.base import Entry, Source, gone
from dgaal_cli.errors import InputDataError
from dgaal_cli.escaping import show
from dgaal_cli.ids import SampleId


class SplitSource:
    """The entries of one split of a source, with unchanged ids."""

    def __init__(self, source: Source, split: str) -> None:
        self._source = source
        self._split = split
        if next(self.entries(), None) is None:
            known = sorted({entry.split for entry in source.entries()} - {""})
            raise InputDataError(
                f"{source.spec} has no split {split}; "
                + (f"it has {', '.join(map(show, known[:10]))}" if known else "it has no splits")
            )

    @property
    def spec(self) -> str:
        """SOURCE text with ``#split``."""
        return f"{self._source.spec}#{self._split}"

    def entries(self) -> Iterator[Entry]:
        """Stream the split's entries in the source's order."""
        return (entry for entry in self._source.entries() if entry.split == self._split)

    def count(self) -> int | None:
        """Return None: the number is unknown without a full pass."""
        return None

    def stamp(self) -> str:
        """Return the stamp of the source."""
        return self._source.stamp()

    def get(self, sample_id: SampleId) -> Entry:
        """Return one entry of the split."""
        entry = self._source.get(sample_id)
        if entry.split != self._split:
            raise gone(sample_id, self.spec)
        return entry

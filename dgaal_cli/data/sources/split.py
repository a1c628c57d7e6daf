"""One split of a source: ``SPEC#train``."""

from collections.abc import Iterator

from dgaal_cli.data.sources.base import Entry, Source, gone
from dgaal_cli.errors import InputDataError
from dgaal_cli.escaping import show
from dgaal_cli.ids import SampleId


class SplitSource(Source):
    """The entries of one split of a source, with unchanged ids."""

    def __init__(self, source: Source, split: str) -> None:
        self.spec = f"{source.spec}#{split}"
        self._source = source
        self._split = split
        if next(self.entries(), None) is None:
            known = sorted({entry.split for entry in source.entries()} - {""})
            raise InputDataError(
                f"{source.spec} has no split {split}; "
                + (f"it has {', '.join(map(show, known[:10]))}" if known else "it has no splits")
            )

    def entries(self) -> Iterator[Entry]:
        """Stream the split's entries in the source's order."""
        return (entry for entry in self._source.entries() if entry.split == self._split)

    def stamp(self) -> str:
        return self._source.stamp()

    def get(self, sample_id: SampleId) -> Entry:
        entry = self._source.get(sample_id)
        if entry.split != self._split:
            raise gone(sample_id, self.spec)
        return entry

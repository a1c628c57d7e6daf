"""One part of a source: ``SPEC#train``."""

from collections.abc import Iterator

from dgaal_cli.data.sources.base import Entry, Source, gone
from dgaal_cli.errors import InputDataError
from dgaal_cli.escaping import show
from dgaal_cli.ids import SampleId


class SplitSource:
    """Those entries of a source that lie in one split; ids stay the source's."""

    def __init__(self, whole: Source, split: str) -> None:
        self._whole = whole
        self._split = split
        if next(self.entries(), None) is None:
            known = sorted({entry.split for entry in whole.entries()} - {""})
            raise InputDataError(
                f"{show(whole.spec)} holds no part {show(split)}; "
                + (f"it holds {', '.join(map(show, known[:10]))}" if known else "it has no parts")
            )

    @property
    def spec(self) -> str:
        """The source's text with ``#split``."""
        return f"{self._whole.spec}#{self._split}"

    def entries(self) -> Iterator[Entry]:
        """Stream the split's entries in the source's order."""
        return (entry for entry in self._whole.entries() if entry.split == self._split)

    def count(self) -> int | None:
        """Unknown without a pass."""
        return None

    def stamp(self) -> str:
        """The source's."""
        return self._whole.stamp()

    def get(self, sample_id: SampleId) -> Entry:
        """Find one entry of the split."""
        entry = self._whole.get(sample_id)
        if entry.split != self._split:
            raise gone(sample_id, self.spec)
        return entry

"""Find a few entries of a large source in one pass, without an index of all entries."""

from collections.abc import Collection, Iterator, Sequence

import numpy as np

from dgaal_cli.data.sources.base import Entry, FileBytes, Source, held
from dgaal_cli.data.unreadable import UnreadableImageError
from dgaal_cli.ids import SampleId


def entries_named(source: Source, names: Collection[SampleId]) -> Iterator[Entry]:
    """Yield the entries of these ids: files in the order of ``names``, else of the source.

    Raises:
        InputDataError: A file is missing.
    """
    if not source.stamp():  # a source of files, which needs no index for a lookup
        yield from map(source.get, names)
        return
    remaining = set(names)
    for entry in source.entries():
        if entry.id in remaining:
            yield detached(entry)
            remaining.remove(entry.id)
            if not remaining:
                return


def entries_at(source: Source, rows: Sequence[int]) -> list[Entry]:
    """Return the entries at these positions of the source, in the order of ``rows``."""
    remaining = set(rows)
    found: dict[int, Entry] = {}
    for row, entry in enumerate(source.entries()):
        if row in remaining:
            found[row] = detached(entry)
            remaining.remove(row)
            if not remaining:
                break
    return [found[row] for row in rows if row in found]


def detached(entry: Entry) -> Entry:
    """Copy an entry's pixels, because a view of an array keeps the whole block in memory."""
    if isinstance(entry.read, FileBytes):
        return entry
    try:
        data = entry.read()
    except UnreadableImageError:
        return entry
    if isinstance(data, np.ndarray):
        return entry._replace(read=held(data.copy()))
    return entry

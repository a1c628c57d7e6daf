"""A few entries of a large source, found in one pass that holds no index of the rest."""

from collections.abc import Collection, Iterator, Sequence
from functools import partial

import numpy as np

from dgaal_cli.data.sources.base import Encoded, Entry, FileBytes, Source
from dgaal_cli.data.unreadable import UnreadableImageError
from dgaal_cli.ids import SampleId


def entries_named(source: Source, names: Collection[SampleId]) -> Iterator[Entry]:
    """Yield the entries of these ids: files as asked, else in the order of the source.

    Raises:
        InputDataError: A file is gone.
    """
    if not source.stamp():  # each file has its own: to look one up needs no index
        yield from map(source.get, names)
        return
    wanted = set(names)
    for entry in source.entries():
        if entry.id in wanted:
            yield detached(entry)
            wanted.remove(entry.id)
            if not wanted:
                return


def entries_at(source: Source, rows: Sequence[int]) -> list[Entry]:
    """Return the entries at these places of the source, in the order asked."""
    left = set(rows)
    found: dict[int, Entry] = {}
    for row, entry in enumerate(source.entries()):
        if row in left:
            found[row] = detached(entry)
            left.remove(row)
            if not left:
                break
    return [found[row] for row in rows if row in found]


def detached(entry: Entry) -> Entry:
    """Give an entry pixels of its own: a row of an array keeps megabytes of its neighbors alive."""
    if isinstance(entry.read, FileBytes):
        return entry
    try:
        data = entry.read()
    except UnreadableImageError:
        return entry
    if isinstance(data, np.ndarray):
        return entry._replace(read=partial(_same, data.copy()))
    return entry


def _same(data: Encoded) -> Encoded:
    return data

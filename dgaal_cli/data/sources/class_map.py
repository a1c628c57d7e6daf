"""A file with the class of each label of a source, such as ``n01440764`` or ``3``."""

import csv
import io
from collections.abc import Iterator, Mapping
from pathlib import Path

from dgaal_cli.data.sources.base import Entry, Source
from dgaal_cli.errors import InputDataError, StorageError
from dgaal_cli.escaping import separator_hint, show
from dgaal_cli.ids import SampleId

_COLUMNS = ("label", "name")


def read_class_map(path: Path) -> dict[str, str]:
    """Read a CSV file with the columns ``label`` and ``name``.

    Returns:
        The name of the class of each label, in the order of the file. Labels may share a class.

    Raises:
        InputDataError: The file has no such columns, or a row that cannot be used.
        StorageError: The file cannot be read.
    """
    try:
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputDataError(f"{show(str(path))} is not UTF-8 text; save it as UTF-8") from error
    except OSError as error:
        raise StorageError(f"cannot read {show(str(path))}: {error.strerror}") from error
    rows = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    names: dict[str, str] = {}
    try:
        header = [name.strip() for name in rows.fieldnames or ()]
        if not set(_COLUMNS) <= set(header):
            raise InputDataError(
                f"{show(str(path))} needs the columns label and name; its columns are "
                f"{show(', '.join(header)[:200])}{separator_hint(header)}"
            )
        rows.fieldnames = header
        for row in rows:
            label, name = ((row[column] or "").strip() for column in _COLUMNS)
            if not label or not name or names.get(label, name) != name:
                why = "names no class" if label and not name else "has no label of its own"
                raise InputDataError(
                    f"{show(str(path))}, line {rows.line_num}: the row {why}; give each label one "
                    "name"
                )
            names[label] = name
    except csv.Error as error:
        raise InputDataError(f"{show(str(path))}, line {rows.line_num}: {error}") from None
    if not names:
        raise InputDataError(f"{show(str(path))} names no class; write one label,name a line")
    return names


class MappedSource(Source):
    """A source whose labels are replaced by the names of their classes; others stay as they are."""

    def __init__(self, source: Source, names: Mapping[str, str]) -> None:
        self.spec = source.spec
        self._source = source
        self._names = names

    def entries(self) -> Iterator[Entry]:
        """Stream the source's entries with the names of their classes."""
        return map(self._mapped, self._source.entries())

    def count(self) -> int | None:
        return self._source.count()

    def get(self, sample_id: SampleId) -> Entry:
        return self._mapped(self._source.get(sample_id))

    def path_of(self, sample_id: SampleId) -> str | None:
        return self._source.path_of(sample_id)

    def stamp(self) -> str:
        return self._source.stamp()

    def _mapped(self, entry: Entry) -> Entry:
        name = None if entry.label is None else self._names.get(entry.label)
        return entry if name is None else entry._replace(label=name)

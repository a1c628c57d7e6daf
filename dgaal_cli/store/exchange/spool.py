"""Labels of an import in a temporary file, so that millions of them need little memory."""

import marshal
import tempfile
import weakref
from collections.abc import Iterator
from functools import lru_cache

from dgaal_cli.errors import StorageError
from dgaal_cli.ids import ClassUid
from dgaal_cli.store.records import ImportedLabel, Label

_MEMORY_BYTES = 16 << 20
_LENGTH_BYTES = 4


class LabelSpool:
    """A sequence of labels that can be appended to and read; a small one stays in memory."""

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(max_size=_MEMORY_BYTES)  # noqa: SIM115
        weakref.finalize(self, self._file.close)
        self._end = 0

    def append(self, label: ImportedLabel) -> int:
        """Append a label and return its position for ``read``.

        Raises:
            StorageError: The temporary file cannot be written.
        """
        stated = label.label and (label.label.payload, label.label.version, label.label.classes)
        values = (label.sample_id, stated, *label[2:])
        data = marshal.dumps(values)
        data = len(data).to_bytes(_LENGTH_BYTES, "big") + data
        position = self._end
        try:
            self._file.seek(position)
            self._file.write(data)
        except OSError as error:
            raise StorageError(
                "the temporary file for the labels cannot be written "
                f"({error.strerror or error}); nothing was imported"
            ) from error
        self._end += len(data)
        return position

    def read(self, position: int) -> ImportedLabel:
        """Return the label at a position that ``append`` returned."""
        self._file.seek(position)
        return self._load()

    def __iter__(self) -> Iterator[ImportedLabel]:
        self._file.seek(0)
        while self._file.tell() < self._end:
            yield self._load()

    def _load(self) -> ImportedLabel:
        length = int.from_bytes(self._file.read(_LENGTH_BYTES), "big")
        name, stated, *rest = marshal.loads(self._file.read(length))  # noqa: S302 - from ``append``
        return ImportedLabel(name, None if stated is None else _label(*stated), *rest)


@lru_cache(maxsize=128)  # few labels of classification differ
def _label(payload: bytes, version: int, classes: tuple[ClassUid, ...]) -> Label:
    return Label(payload=payload, version=version, classes=classes)

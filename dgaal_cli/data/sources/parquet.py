"""Images in a Parquet file: a column of encoded bytes, or of paths relative to the file."""

import importlib
import json
import threading
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate, chain
from pathlib import Path
from typing import Any, cast

from dgaal_cli.data.regular_files import MAX_FILE_BYTES
from dgaal_cli.data.sources.base import (
    ContainerSource,
    Entry,
    FileBytes,
    Refusal,
    gone,
    held,
    unique,
)
from dgaal_cli.data.sources.naming import NO_LABEL
from dgaal_cli.errors import InputDataError, MissingExtraError
from dgaal_cli.escaping import show
from dgaal_cli.ids import SampleId

IMAGE_COLUMNS = ("image", "img", "image_bytes", "bytes", "jpg", "png", "file_name", "path")
"""Tried in this order; otherwise the first column of bytes is used."""
LABEL_COLUMNS = ("label", "labels", "class", "fine_label")
_ROWS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class _Columns:
    image: str
    label: str | None
    split: str | None
    id: str | None
    class_names: tuple[str, ...]

    @property
    def all(self) -> list[str]:
        return [name for name in (self.image, self.label, self.split, self.id) if name]


class ParquetSource(ContainerSource):
    """Rows of a Parquet file; the id is the text in column ``id``, else the row number."""

    def __init__(self, path: Path) -> None:
        try:
            self._parquet: Any = importlib.import_module("pyarrow.parquet")
        except ImportError:
            raise MissingExtraError("reading a .parquet pool", "parquet", "pyarrow") from None
        super().__init__(path)
        self._folder = path.parent.resolve()
        self._lock = threading.Lock()
        self._rows: dict[SampleId, int] | None = None
        self._group: tuple[int, list[dict[str, Any]]] | None = None
        with self._open() as file:
            self._columns = _find_columns(file.schema_arrow, self.spec)
            counts = [file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)]
        self._starts = [0, *accumulate(counts)]
        if not self._starts[-1]:
            raise InputDataError(f"{self.spec} contains no rows")

    def entries(self) -> Iterator[Entry]:
        """Stream rows in the order of the file.

        Raises:
            InputDataError: An id occurs twice, or a path leads outside.
        """
        with self._open() as file:
            records = chain.from_iterable(self._batches(file))
            found = ((row, self._entry(record, row)) for row, record in enumerate(records))
            yield from unique(found, self._wrong)

    def count(self) -> int | None:
        return self._starts[-1]

    def get(self, sample_id: SampleId) -> Entry:
        """Return one row; caches its row group."""
        with self._lock:
            if self._rows is None:
                self._rows = {entry.id: row for row, entry in enumerate(self.entries())}
            if sample_id not in self._rows:
                raise gone(sample_id, self.spec)
            row = self._rows[sample_id]
            number = bisect_right(self._starts, row) - 1
            if self._group is None or self._group[0] != number:
                with self._open() as file:
                    table = file.read_row_group(number, columns=self._columns.all)
                    self._group = (number, table.to_pylist())
            return self._entry(self._group[1][row - self._starts[number]], row)

    def _open(self) -> Any:
        try:
            return self._parquet.ParquetFile(self._path)
        except (OSError, ValueError) as error:  # pyarrow's errors are subclasses of these
            raise InputDataError(
                f"{self.spec} is not a readable Parquet file: {str(error)[:160]}"
            ) from None

    def _batches(self, file: Any) -> Iterator[list[dict[str, Any]]]:
        batches = file.iter_batches(batch_size=_ROWS, columns=self._columns.all)
        while True:
            try:
                batch = next(batches, None)
            except (OSError, ValueError) as error:
                raise InputDataError(f"{self.spec} is damaged: {str(error)[:160]}") from None
            if batch is None:
                return
            yield batch.to_pylist()

    def _entry(self, record: Mapping[str, Any], row: int) -> Entry:
        columns = self._columns
        key = record[columns.id] if columns.id else None
        name = SampleId(str(key) if key not in (None, "") else f"{row:06d}")
        value = record[columns.image]
        split = record[columns.split] if columns.split else None
        path, read = self._image(value, row)
        return Entry(
            id=name,
            label=_label(record[columns.label], columns) if columns.label else None,
            split="" if split is None else str(split),
            path=path or f"{self.spec}!{name}",
            read=read,
        )

    def _image(self, value: object, row: int) -> tuple[str, Any]:
        if isinstance(value, Mapping):  # Hugging Face: {"bytes": ..., "path": ...}
            fields = cast("Mapping[str, object]", value)
            value = fields.get("bytes") or fields.get("path")
        if isinstance(value, bytes):
            if len(value) > MAX_FILE_BYTES:
                return "", Refusal(f"file larger than {MAX_FILE_BYTES // 2**20} MiB")
            return "", held(value)
        if not isinstance(value, str) or not value:
            return "", Refusal("the row contains no image")
        if "\0" in value:
            return "", Refusal("the path contains a NUL")
        path = self._folder / value
        if not path.resolve().is_relative_to(self._folder):
            raise self._wrong(row, f"{show(value)[:200]} is outside the file's folder")
        return str(path), FileBytes(str(path))

    def _wrong(self, row: int, what: str) -> InputDataError:
        return InputDataError(f"{self.spec}, row {row}: {what}; correct it and try again")


def _find_columns(schema: Any, spec: str) -> _Columns:
    types = importlib.import_module("pyarrow.types")
    names: list[str] = list(schema.names)
    kinds = {name: schema.field(name).type for name in names}

    def holds_bytes(kind: Any) -> bool:
        is_struct = types.is_struct(kind) and kind.get_field_index("bytes") >= 0
        return bool(is_struct or types.is_binary(kind) or types.is_large_binary(kind))

    def holds_text(kind: Any) -> bool:
        return bool(types.is_string(kind) or types.is_large_string(kind))

    candidates = [*IMAGE_COLUMNS, *names]
    image = next((n for n in candidates if n in kinds and holds_bytes(kinds[n])), None)
    image = image or next((n for n in IMAGE_COLUMNS if n in kinds and holds_text(kinds[n])), None)
    if image is None:
        raise InputDataError(
            f"{spec} has no column of images (columns: {', '.join(names)[:200]}); "
            "it needs encoded bytes in 'image', or paths in 'file_name'"
        )
    label = next((n for n in LABEL_COLUMNS if n in kinds and n != image), None)
    return _Columns(
        image=image,
        label=label,
        split="split" if "split" in kinds else None,
        id="id" if "id" in kinds and image != "id" else None,
        class_names=_class_names(schema.metadata, label),
    )


def _class_names(metadata: Mapping[bytes, bytes] | None, label: str | None) -> tuple[str, ...]:
    """Return the class names that Hugging Face's ``datasets`` stores for integer labels."""
    try:
        document = json.loads((metadata or {})[b"huggingface"])
        names: Any = document["info"]["features"][label]["names"]
    except (KeyError, TypeError, ValueError, RecursionError):
        return ()
    return tuple(map(str, cast("list[Any]", names))) if isinstance(names, list) else ()


def _label(value: object, columns: _Columns) -> str | None:
    if isinstance(value, float) and value.is_integer():  # pandas, where a label is missing
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | str) or value == NO_LABEL:
        return None
    if isinstance(value, int) and 0 <= value < len(columns.class_names):
        return columns.class_names[value]
    return str(value) or None

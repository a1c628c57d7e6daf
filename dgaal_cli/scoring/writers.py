"""Write the score table as CSV, JSONL or Parquet; the suffix selects the writer."""

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice, repeat
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
import numpy as np

from dgaal_cli.errors import MissingExtraError, UsageError
from dgaal_cli.escaping import cells, spell
from dgaal_cli.scoring.rows import COLUMNS, FloatArray, Row, Rows

Record = dict[str, int | float | str | None]
WriteTable = Callable[[BinaryIO, Iterable[Rows]], None]

_PARQUET_ROWS = 8_192
_DIGITS = (6, 7, 8, 9)
"""Nine significant digits distinguish all float32 numbers."""
_MIN_PLAIN, _MAX_PLAIN = 1e-4, 1e6
"""Numbers in this range are written without an exponent."""
_POWERS = np.array([float(10**power) for power in range(16)])  # exact, as np.power need not be


def table_writer(path: Path) -> WriteTable:
    """Return the writer for a file by its suffix.

    Raises:
        UsageError: The suffix is none of ``.csv``, ``.jsonl``, ``.parquet``.
        MissingExtraError: Parquet is requested and pyarrow is not installed.
    """
    writer = _WRITERS.get(path.suffix.lower())
    if writer is None:
        raise UsageError(
            f"cannot write a score table as {path.name}; "
            f"give a name that ends in {', '.join(_WRITERS)}"
        )
    if writer is write_parquet:
        require_pyarrow("writing a .parquet table")
    return writer


def require_pyarrow(what: str) -> None:
    """Raise ``MissingExtraError``, with the install command, if pyarrow is missing."""
    from importlib.util import find_spec

    if find_spec("pyarrow") is None:
        raise MissingExtraError(what, "parquet", "pyarrow")


def write_csv(stream: BinaryIO, blocks: Iterable[Rows]) -> None:
    """Write UTF-8 CSV with a header; texts are escaped by ``escaping.cells``."""
    text = io.TextIOWrapper(stream, "utf-8", newline="", write_through=False)
    try:
        table = csv.writer(text, lineterminator="\n")
        table.writerow(COLUMNS)
        rank = 1
        for rows in blocks:
            names = [list(cells(of)) for of in (rows.ids, rows.paths, rows.predicted, rows.errors)]
            lines = zip(*_csv_columns(rows, rank, *names), strict=True)
            if _is_plain(names):  # as csv.writer, in half the time
                text.write("".join([f"{line}\n" for line in map(",".join, lines)]))
            else:
                table.writerows(lines)
            rank += len(rows)
        text.flush()
    finally:
        text.detach()  # the caller closes the stream


def write_jsonl(stream: BinaryIO, blocks: Iterable[Rows]) -> None:
    r"""Write one JSON object per line, lossless; non-UTF-8 bytes are written as ``\udcNN``."""
    for record in records(chain.from_iterable(blocks)):
        stream.write(json.dumps(record, ensure_ascii=True, allow_nan=False).encode() + b"\n")


def write_parquet(stream: BinaryIO, blocks: Iterable[Rows]) -> None:
    """Write Parquet: rank int64, numbers float32, texts escaped by ``escaping.spell``."""
    import importlib

    arrow: Any = importlib.import_module("pyarrow")
    parquet: Any = importlib.import_module("pyarrow.parquet")
    numbers = ("score", "p_unlabeled", "confidence")
    kinds = {"rank": arrow.int64(), **dict.fromkeys(numbers, arrow.float32())}
    schema = arrow.schema([(name, kinds.get(name, arrow.string())) for name in COLUMNS])
    with parquet.ParquetWriter(stream, schema) as table:
        lines = records(chain.from_iterable(blocks))
        while block := list(islice(lines, _PARQUET_ROWS)):
            spelled = [
                {
                    name: spell(value) if isinstance(value, str) else value
                    for name, value in record.items()
                }
                for record in block
            ]
            table.write_table(arrow.Table.from_pylist(spelled, schema=schema))


def records(rows: Iterable[Row]) -> Iterator[Record]:
    """Yield one mapping per ranked row, keyed by the table's columns."""
    for rank, row in enumerate(rows, start=1):
        is_ok = not row.is_unreadable
        yield {
            "rank": rank if is_ok else None,
            "id": row.id,
            "path": row.path,
            "score": float(format_float(row.score)) if is_ok else None,
            "p_unlabeled": _shortest(row.p_unlabeled),
            "predicted": row.predicted or None,
            "confidence": _shortest(row.confidence),
            "status": "ok" if is_ok else "unreadable",
            "error": row.error or None,
        }


def format_float(value: float) -> str:
    """Return the shortest text that parses to the same float32; it is the same on every run."""
    return str(np.float32(value))


def format_floats(values: FloatArray) -> list[str]:
    """Return ``format_float`` of every value, and an empty text for NaN, in a third of the time.

    A value rounded to few decimal digits is a float64 whose shortest text has exactly these digits;
    the JSON encoder writes all such texts at once.
    """
    exact = values.astype(np.float64)
    is_easy = (np.abs(exact) >= _MIN_PLAIN) & (np.abs(exact) < _MAX_PLAIN)
    easy = np.flatnonzero(is_easy)
    magnitude = np.floor(np.log10(np.abs(exact[easy]))).astype(np.intp)
    left = np.arange(len(easy))
    for digits in _DIGITS:
        indices = easy[left]
        scale = _POWERS[digits - 1 - magnitude[left]]
        rounded = np.rint(values[indices] * scale) / scale
        is_same = rounded.astype(np.float32) == values[indices]
        exact[indices[is_same]] = rounded[is_same]
        left = left[~is_same]
    is_easy[easy[left]] = False
    exact[~is_easy] = 0.0
    texts = msgspec.json.encode(exact.tolist()).decode()[1:-1].split(",") if len(values) else []
    is_missing = np.isnan(values)
    for index in np.flatnonzero(is_missing).tolist():
        texts[index] = ""
    for index in np.flatnonzero(~is_easy & ~is_missing).tolist():
        texts[index] = format_float(values[index])
    return texts


def _is_plain(columns: list[list[str]]) -> bool:
    """Return whether no cell needs quotes."""
    return not any(mark in text for text in map("".join, columns) for mark in ',"\r\n')


def _csv_columns(
    rows: Rows, rank: int, ids: list[str], paths: list[str], predicted: list[str], errors: list[str]
) -> Iterator[Iterable[str]]:
    """Yield the cells of each column; ``rank`` is the first row's, unreadable rows are last."""
    count = len(rows) - int(rows.is_unreadable.sum())
    left = [""] * (len(rows) - count)
    yield chain(map(str, range(rank, rank + count)), left)
    yield ids
    yield paths
    yield chain(format_floats(rows.scores[:count]), left)
    yield format_floats(rows.p_unlabeled)
    yield predicted
    yield format_floats(rows.confidence)
    yield chain(repeat("ok", count), repeat("unreadable", len(left)))
    yield errors


def _shortest(value: float | None) -> float | None:
    return None if value is None else float(format_float(value))


_WRITERS: dict[str, WriteTable] = {
    ".csv": write_csv,
    ".jsonl": write_jsonl,
    ".parquet": write_parquet,
}

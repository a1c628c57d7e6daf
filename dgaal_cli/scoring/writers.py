"""The score table as CSV, JSONL or Parquet: one row function and one writer a suffix."""

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import numpy as np

from dgaal_cli.errors import MissingExtraError, UsageError
from dgaal_cli.harmless import cells, show, spell
from dgaal_cli.scoring.rows import COLUMNS, Row

Record = dict[str, int | float | str | None]
WriteTable = Callable[[BinaryIO, Iterable[Row]], None]

_CSV_ROWS = 4_096
_PARQUET_ROWS = 8_192

_T = TypeVar("_T")


def table_writer(path: Path) -> WriteTable:
    """Choose the writer for a file by its suffix.

    Raises:
        UsageError: The suffix is none of ``.csv``, ``.jsonl``, ``.parquet``.
        MissingExtraError: Parquet without pyarrow.
    """
    writer = _WRITERS.get(path.suffix.lower())
    if writer is None:
        raise UsageError(
            f"cannot write a score table as {show(path.name)}; "
            f"give a name that ends in {', '.join(_WRITERS)}"
        )
    if writer is write_parquet:
        require_pyarrow("writing a .parquet table")
    return writer


def require_pyarrow(what: str) -> None:
    """Fail early, with the line that installs it, where pyarrow is missing."""
    from importlib.util import find_spec

    if find_spec("pyarrow") is None:
        raise MissingExtraError(what, "parquet", "pyarrow")


def write_csv(stream: BinaryIO, rows: Iterable[Row]) -> None:
    """Write UTF-8 CSV with a header; texts are what ``harmless.cell`` makes of them."""
    text = io.TextIOWrapper(stream, "utf-8", newline="", write_through=False)
    try:
        table = csv.writer(text, lineterminator="\n")
        table.writerow(COLUMNS)
        rank = 1
        for block in _blocks(iter(rows), _CSV_ROWS):
            columns = _csv_columns(block, rank)
            lines = zip(*columns, strict=True)
            if _is_plain(columns):  # what csv.writer would write, in half the time
                text.write("".join([f"{','.join(line)}\n" for line in lines]))
            else:
                table.writerows(lines)
            rank += len(block)
        text.flush()
    finally:
        text.detach()  # the stream is the caller's to close


def write_jsonl(stream: BinaryIO, rows: Iterable[Row]) -> None:
    r"""Write one JSON object a line: lossless; bytes that are no UTF-8 stand as ``\udcNN``."""
    for record in records(rows):
        stream.write(json.dumps(record, ensure_ascii=True, allow_nan=False).encode() + b"\n")


def write_parquet(stream: BinaryIO, rows: Iterable[Row]) -> None:
    """Write Parquet: rank int64, numbers float32, texts as ``harmless.spell`` writes them."""
    import importlib

    arrow: Any = importlib.import_module("pyarrow")
    parquet: Any = importlib.import_module("pyarrow.parquet")
    numbers = ("score", "p_unlabeled", "confidence")
    kinds = {"rank": arrow.int64(), **dict.fromkeys(numbers, arrow.float32())}
    schema = arrow.schema([(name, kinds.get(name, arrow.string())) for name in COLUMNS])
    with parquet.ParquetWriter(stream, schema) as table:
        for block in _blocks(records(rows), _PARQUET_ROWS):
            spelled = [
                {
                    name: spell(value) if isinstance(value, str) else value
                    for name, value in record.items()
                }
                for record in block
            ]
            table.write_table(arrow.Table.from_pylist(spelled, schema=schema))


def records(rows: Iterable[Row]) -> Iterator[Record]:
    """Turn ranked rows into one mapping each, keyed by the table's columns."""
    for rank, row in enumerate(rows, start=1):
        is_ok = not row.is_unreadable
        yield {
            "rank": rank if is_ok else None,
            "id": row.id,
            "path": row.path,
            "score": float(_digits(row.score)) if is_ok else None,
            "p_unlabeled": _shortest(row.p_unlabeled),
            "predicted": row.predicted or None,
            "confidence": _shortest(row.confidence),
            "status": "ok" if is_ok else "unreadable",
            "error": row.error or None,
        }


def _is_plain(columns: list[list[str]]) -> bool:
    """Tell whether no cell needs quotes."""
    return not any(mark in text for text in map("".join, columns) for mark in ',"\r\n')


def _csv_columns(rows: list[Row], rank: int) -> list[list[str]]:
    """Return columns of cells; the first row has this rank, and unreadable ones stand last."""
    count = sum(not row.is_unreadable for row in rows)
    _, descending, ids, paths, p_unlabeled, predicted, confidence, errors = zip(*rows, strict=True)
    left = [""] * (len(rows) - count)
    scores = np.negative(np.array(descending[:count], np.float32))
    return [
        [*map(str, range(rank, rank + count)), *left],
        list(cells(ids)),
        list(cells(paths)),
        [*map(str, scores), *left],
        _texts(p_unlabeled),
        list(cells(predicted)),
        _texts(confidence),
        [*["ok"] * count, *["unreadable" for _ in left]],
        list(cells(errors)),
    ]


def _texts(values: tuple[float | None, ...]) -> list[str]:
    if None in values:
        return ["" if value is None else _digits(value) for value in values]
    return list(map(str, np.array(values, np.float32)))


def _digits(value: float) -> str:
    """Fewest digits that give the same float32 again: the same text on every run."""
    return str(np.float32(value))


def _shortest(value: float | None) -> float | None:
    return None if value is None else float(_digits(value))


def _blocks(items: Iterator[_T], size: int) -> Iterator[list[_T]]:
    while block := list(islice(items, size)):
        yield block


_WRITERS: dict[str, WriteTable] = {
    ".csv": write_csv,
    ".jsonl": write_jsonl,
    ".parquet": write_parquet,
}

"""The score table as CSV, JSONL or Parquet: one row function and one writer a suffix."""

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice, repeat
from pathlib import Path
from typing import Any, BinaryIO

from dgaal_cli.errors import MissingExtraError, UsageError
from dgaal_cli.escaping import cells, show, spell
from dgaal_cli.scoring.numerals import numeral, numerals
from dgaal_cli.scoring.rows import COLUMNS, Row, Rows

Record = dict[str, int | float | str | None]
WriteTable = Callable[[BinaryIO, Iterable[Rows]], None]

_PARQUET_ROWS = 8_192


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


def write_csv(stream: BinaryIO, blocks: Iterable[Rows]) -> None:
    """Write UTF-8 CSV with a header; texts are what ``harmless.cell`` makes of them."""
    text = io.TextIOWrapper(stream, "utf-8", newline="", write_through=False)
    try:
        table = csv.writer(text, lineterminator="\n")
        table.writerow(COLUMNS)
        rank = 1
        for rows in blocks:
            names = [list(cells(of)) for of in (rows.ids, rows.paths, rows.predicted, rows.errors)]
            lines = zip(*_csv_columns(rows, rank, *names), strict=True)
            if _is_plain(names):  # what csv.writer would write, in half the time
                text.write("".join([f"{line}\n" for line in map(",".join, lines)]))
            else:
                table.writerows(lines)
            rank += len(rows)
        text.flush()
    finally:
        text.detach()  # the stream is the caller's to close


def write_jsonl(stream: BinaryIO, blocks: Iterable[Rows]) -> None:
    r"""Write one JSON object a line: lossless; bytes that are no UTF-8 stand as ``\udcNN``."""
    for record in records(chain.from_iterable(blocks)):
        stream.write(json.dumps(record, ensure_ascii=True, allow_nan=False).encode() + b"\n")


def write_parquet(stream: BinaryIO, blocks: Iterable[Rows]) -> None:
    """Write Parquet: rank int64, numbers float32, texts as ``harmless.spell`` writes them."""
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
    """Turn ranked rows into one mapping each, keyed by the table's columns."""
    for rank, row in enumerate(rows, start=1):
        is_ok = not row.is_unreadable
        yield {
            "rank": rank if is_ok else None,
            "id": row.id,
            "path": row.path,
            "score": float(numeral(row.score)) if is_ok else None,
            "p_unlabeled": _shortest(row.p_unlabeled),
            "predicted": row.predicted or None,
            "confidence": _shortest(row.confidence),
            "status": "ok" if is_ok else "unreadable",
            "error": row.error or None,
        }


def _is_plain(columns: list[list[str]]) -> bool:
    """Tell whether no cell needs quotes."""
    return not any(mark in text for text in map("".join, columns) for mark in ',"\r\n')


def _csv_columns(
    rows: Rows, rank: int, ids: list[str], paths: list[str], predicted: list[str], errors: list[str]
) -> Iterator[Iterable[str]]:
    """Give the columns' cells; the first row has this rank, and unreadable ones stand last."""
    count = len(rows) - int(rows.is_unreadable.sum())
    left = [""] * (len(rows) - count)
    yield chain(map(str, range(rank, rank + count)), left)
    yield ids
    yield paths
    yield chain(numerals(rows.scores[:count]), left)
    yield numerals(rows.p_unlabeled)
    yield predicted
    yield numerals(rows.confidence)
    yield chain(repeat("ok", count), repeat("unreadable", len(left)))
    yield errors


def _shortest(value: float | None) -> float | None:
    return None if value is None else float(numeral(value))


_WRITERS: dict[str, WriteTable] = {
    ".csv": write_csv,
    ".jsonl": write_jsonl,
    ".parquet": write_parquet,
}

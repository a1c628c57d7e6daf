"""CSV: one line per effective label, for spreadsheets and scripts."""

import codecs
import contextlib
import csv
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, cast, get_args

from dgaal_cli.errors import InputDataError
from dgaal_cli.escaping import cell as cell_of
from dgaal_cli.escaping import separator_hint, show, uncell
from dgaal_cli.store.exchange.base import ExportJob, Parsed, read_lines
from dgaal_cli.store.instants import from_iso
from dgaal_cli.store.records import FileProvenance

COLUMNS = ("file_name", "label", "annotator", "provenance", "at", "round", "exported")
_WHOLE = re.compile(r"-?[0-9]+\.0")
_REWRITTEN_TIME = re.compile(
    r"[0-9]{5}([.,][0-9]+)?"  # days since 1900
    r"|([0-9]{1,4}[./-][0-9]{1,2}[./-][0-9]{1,4}\.?)?"
    r"(,?\ ?[0-9]{1,2}:[0-9]{2}(:[0-9]{2})?([.,][0-9]+)?(\ ?[AaPp]\.?[Mm]\.?)?)?"
)
_ID_COLUMNS = ("file_name", "id")


class CsvTable:
    """RFC 4180, UTF-8; names are written by ``escaping.cell``.

    With audited images, a last column states whether the image is one.
    """

    suffix = ".csv"
    head = b"file_name,"

    def __init__(self, *, control: str | None = None, image_key: str | None = None) -> None:
        """Choose what to read.

        Args:
            control: Column of the label; None: ``label``.
            image_key: Column of the image; None: ``file_name``, else ``id``.
        """
        chosen = {control: "label", image_key: "file_name"}
        self._columns = {own: name for own, name in chosen.items() if own is not None}

    def write(self, stream: BinaryIO, job: ExportJob) -> int:
        """Write the effective labels by name."""
        count = 0
        writer = csv.writer(codecs.getwriter("utf-8")(stream), lineterminator="\n")
        writer.writerow((*COLUMNS, *(["audited"] if job.audited else [])))
        for label in job.labels:
            count += 1
            writer.writerow(
                (
                    cell_of(label.sample_id),
                    cell_of(job.text_of(label)),
                    cell_of(label.annotator),
                    label.provenance,
                    label.at,
                    "" if label.round is None else label.round,
                    cell_of(job.mark_of(label)),
                    *([str(label.item_id in job.audited).lower()] if job.audited else []),
                )
            )
        return count

    def read(self, path: Path) -> Iterator[Parsed]:
        """Yield the label of each line; lines that never had a label are skipped."""
        return _parse(path, self._columns)


def _parse(path: Path, columns: Mapping[str, str]) -> Iterator[Parsed]:
    name = show(path.name)
    reader = csv.reader((line for _, line in read_lines(path)), strict=True)
    header: list[str] = []
    try:
        for row in reader:
            if not header:
                header = _check_header(_chosen(row, columns, name), name)
            elif row:
                where = f"{name}, line {reader.line_num}"
                if len(row) != len(header):
                    raise InputDataError(
                        f"{where}: {len(row)} cells, the header names {len(header)} columns"
                    )
                cell = dict(zip(header, row, strict=True))
                if cell["label"] or cell.get("exported"):
                    yield _row(cell, where)
    except csv.Error as error:
        raise InputDataError(f"{name}, line {reader.line_num}: {error}") from None
    if not header:
        raise InputDataError(f"{name} is empty; it needs the columns file_name and label")


def _row(cell: Mapping[str, str], where: str) -> Parsed:
    key = next(column for column in _ID_COLUMNS if column in cell)
    if not cell[key]:
        raise InputDataError(f"{where}, column {key}: the name is missing")
    provenance = cell.get("provenance") or None
    if provenance is not None and provenance not in get_args(FileProvenance):
        raise InputDataError(f"{where}, column provenance: {provenance} is not known")
    number = (cell.get("round") or "").removesuffix(".0") or None  # pandas writes 1.0
    if number is not None and not (number.isascii() and number.isdigit() and len(number) < 10):
        raise InputDataError(f"{where}, column round: {number[:40]} is not a round number")
    if not cell["label"]:
        return Parsed(where=where, names=_readings(cell[key]), is_cleared=True)
    return Parsed(
        where=where,
        names=_readings(cell[key]),
        labels=_readings(cell["label"]),
        annotator=uncell(cell.get("annotator", "")) or None,
        provenance=cast("FileProvenance | None", provenance),
        at=_time(cell.get("at", "")),
        round=None if number is None else int(number),
        exported=uncell(cell.get("exported", "")) or None,
    )


def _time(text: str) -> str | None:
    """Return a time, or None for one that a spreadsheet wrote in its own way.

    Such times do not say whether the day or the month is first, and lack seconds. Answers of a
    table are given when it is imported, so nothing depends on them.
    """
    with contextlib.suppress(ValueError, OverflowError):
        from_iso(text)
        return text
    return None if _REWRITTEN_TIME.fullmatch(text.strip()) else text


def _readings(text: str) -> tuple[str, ...]:
    """Return the possible values of a cell, likeliest first: other programs do not escape."""
    decoded = uncell(text)
    readings = [decoded, text]
    if _WHOLE.fullmatch(text):  # pandas writes the name 1 as 1.0 where a label is missing
        readings.append(text.removesuffix(".0"))
    return tuple(dict.fromkeys(readings))


def _chosen(row: list[str], columns: Mapping[str, str], name: str) -> list[str]:
    """Return a header with the usual names of the chosen columns."""
    header = [cell.strip() for cell in row]
    for column in columns:
        if column not in header:
            raise InputDataError(
                f"{name}, line 1: no column {show(column)}; the columns are "
                f"{show(', '.join(header)[:200])}"
            )
    others = {usual: f"other {usual}" for usual in columns.values()}
    return [columns.get(cell, others.get(cell, cell)) for cell in header]


def _check_header(row: list[str], name: str) -> list[str]:
    header = [cell.strip() for cell in row]
    missing = [column for column in ("file_name", "label") if column not in header]
    if "file_name" in missing and "id" in header:
        missing.remove("file_name")
    if missing:
        raise InputDataError(
            f"{name}, line 1: no column {' and no column '.join(missing)}; "
            f"the columns are {', '.join(header)[:200]}{separator_hint(header)}"
        )
    if len(set(header)) != len(header):
        raise InputDataError(f"{name}, line 1: a column is named twice")
    return header

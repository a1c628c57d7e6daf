"""JSON Lines: the lossless format, with the current answers of every annotator.

Keys and order are fixed and text is escaped to ASCII: the same store exports the same bytes, and
so does a new store of the same pool after an import of the file.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec

from dgaal_cli.errors import InputDataError
from dgaal_cli.escaping import show
from dgaal_cli.store.exchange.base import (
    MAX_LINE_BYTES,
    ExportJob,
    Parsed,
    convert,
    parse_json,
    unreadable,
)
from dgaal_cli.store.records import AnswerRecord, Provenance, Verdict


class _Line(msgspec.Struct, kw_only=True):
    file_name: str | None = None
    id: str | int | None = None
    label: str | int | None = None
    class_uid: str | None = None
    kind: Verdict = "label"
    annotator: str | None = None
    provenance: Provenance | None = None
    at: str | None = None
    round: int | None = None
    elapsed_ms: int | None = None
    note: str = ""
    sha256: str | None = None


class JsonLines:
    """One JSON object per line."""

    suffix = ".jsonl"

    def write(self, stream: BinaryIO, job: ExportJob) -> int:
        """Write all answers, oldest first."""
        for answer in job.answers:
            stream.write(json.dumps(_document(answer, job), allow_nan=False).encode() + b"\n")
        return len(job.answers)

    def read(self, path: Path) -> Iterator[Parsed]:
        """Yield the answer of each line; lines without a label are skipped."""
        return read_lines(path)


def read_lines(path: Path) -> Iterator[Parsed]:
    """Yield the answer of each line; ``InputDataError`` names line and column."""
    name = show(path.name)
    number = 0
    try:
        with path.open("rb") as stream:
            while raw := stream.readline(MAX_LINE_BYTES + 1):
                number += 1
                parsed = _parse(raw, name=name, number=number)
                if parsed is not None:
                    yield parsed
    except OSError as error:
        raise unreadable(path, error) from error


def _parse(raw: bytes, *, name: str, number: int) -> Parsed | None:
    where = f"{name}, line {number}"
    if len(raw) > MAX_LINE_BYTES:
        raise InputDataError(f"{where}: longer than {MAX_LINE_BYTES} bytes")
    try:
        text = raw.decode("utf-8-sig" if number == 1 else "utf-8").strip()
    except UnicodeDecodeError as error:
        raise InputDataError(f"{where}, column {error.start + 1}: not UTF-8") from None
    if not text:
        return None
    line = convert(parse_json(text, where=name, line=number), _Line, where=where)
    sample = line.file_name if line.file_name is not None else line.id
    if sample is None or sample == "":
        raise InputDataError(f"{where}, column file_name: the name is missing")
    needs_label = line.kind in ("label", "adjudicate", "inherit")
    if needs_label and line.label is None:
        return None
    if not needs_label and line.label is not None:
        raise InputDataError(f"{where}, column label: an answer of kind {line.kind} has none")
    return Parsed(
        where=where,
        names=(str(sample),),
        labels=() if line.label is None else (str(line.label),),
        class_uid=line.class_uid,
        kind=line.kind,
        annotator=line.annotator,
        provenance=line.provenance,
        at=line.at,
        round=line.round,
        elapsed_ms=line.elapsed_ms,
        note=line.note,
        sha256=line.sha256,
    )


def _document(answer: AnswerRecord, job: ExportJob) -> dict[str, str | int | bool | None]:
    return {
        "file_name": answer.sample_id,
        "label": job.text_of(answer) if answer.label else None,
        "class_uid": job.text.single_class(answer.label) if answer.label else None,
        "kind": answer.kind,
        "effective": answer.is_effective,
        "annotator": answer.annotator,
        "provenance": answer.provenance,
        "at": answer.at,
        "round": answer.round,
        "elapsed_ms": answer.elapsed_ms,
        "note": answer.note,
        "sha256": answer.sha256.hex(),
        "synthetic": answer.is_synthetic,
        "parent": answer.parent,
    }

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
from dgaal_cli.store.exchange.base import ExportJob, Origin, Parsed, convert, parse_json, read_lines
from dgaal_cli.store.records import AnswerRecord, Verdict


class _Line(Origin, kw_only=True):
    file_name: str | None = None
    id: str | int | None = None
    label: str | int | None = None
    class_uid: str | None = None
    kind: Verdict = "label"
    elapsed_ms: int | None = None
    note: str = ""
    sha256: str | None = None


class JsonLines:
    """One JSON object per line."""

    suffix = ".jsonl"

    def write(self, stream: BinaryIO, job: ExportJob) -> int:
        """Write all answers, oldest first."""
        count = 0
        for answer in job.answers:
            stream.write(json.dumps(_document(answer, job), allow_nan=False).encode() + b"\n")
            count += 1
        return count

    def read(self, path: Path) -> Iterator[Parsed]:
        """Yield the answer of each line; lines without a label are skipped."""
        return parse_lines(path)


def parse_lines(path: Path) -> Iterator[Parsed]:
    """Yield the answer of each line; ``InputDataError`` names line and column."""
    for number, text in read_lines(path):
        if text.strip():
            parsed = _parse(text.strip(), name=show(path.name), number=number)
            if parsed is not None:
                yield parsed


def _parse(text: str, *, name: str, number: int) -> Parsed | None:
    where = f"{name}, line {number}"
    line = convert(parse_json(text, where=name, line=number), _Line, where=where)
    sample = line.file_name if line.file_name is not None else line.id
    if sample is None or sample == "":
        raise InputDataError(f"{where}, column file_name: the name is missing")
    needs_label = line.kind in ("label", "adjudicate", "inherit")
    if needs_label and line.label is None:
        return None
    if not needs_label and line.label is not None:
        raise InputDataError(f"{where}, column label: an answer of kind {line.kind} has none")
    fields = msgspec.structs.asdict(line)
    for name_of in ("file_name", "id", "label"):
        del fields[name_of]
    labels = () if line.label is None else (str(line.label),)
    return Parsed(where=where, names=(str(sample),), labels=labels, **fields)


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

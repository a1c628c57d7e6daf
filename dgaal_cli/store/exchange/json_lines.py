"""JSON Lines: the lossless format, with the current answers of every annotator.

Keys and order are fixed and text is escaped to ASCII: the same store exports the same bytes, and
so does a new store of the same pool after an import of the file.

``op_id`` identifies the annotator's newest answer, undo or redo of the image, and ``changed`` is
its time if an undo or redo came after the answer. With them, the import merges copies of a
workspace. Skips and undone answers follow as lines of kind ``skip``, ``undo`` and ``unflag``.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

import msgspec

from dgaal_cli.errors import InputDataError
from dgaal_cli.escaping import show
from dgaal_cli.ids import ClassUid
from dgaal_cli.store.exchange.base import (
    ExportJob,
    LabelText,
    Origin,
    Parsed,
    convert,
    parse_json,
    read_lines,
)
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
    op_id: str | None = None
    changed: str | None = None


class JsonLines:
    """One JSON object per line."""

    suffix = ".jsonl"

    def write(self, stream: BinaryIO, job: ExportJob) -> int:
        """Write all answers and what was withdrawn, and return the number of answers."""
        count = 0
        for answer in job.answers:
            stream.write(answer_line(answer, job.text, job.names))
            count += 1
        stream.writelines(answer_line(each, job.text, job.names) for each in job.withdrawn)
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


def answer_line(answer: AnswerRecord, text: LabelText, names: Mapping[ClassUid, str]) -> bytes:
    """Return the line of one answer, or of what was withdrawn.

    Args:
        answer: Answer to write.
        text: Converter of the task's labels.
        names: Names of the classes of the label.
    """
    document = {
        "file_name": answer.sample_id,
        "label": text.to_text(answer.label, names) if answer.label else None,
        "class_uid": text.single_class(answer.label) if answer.label else None,
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
        "op_id": answer.op_id,
        "changed": answer.changed_at,
    }
    return json.dumps(document, allow_nan=False).encode() + b"\n"

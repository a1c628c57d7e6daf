"""JSON Lines: the lossless format, with the current answers of every annotator.

Keys and order are fixed and text is escaped to ASCII: the same store exports the same bytes, and
so does a new store of the same pool after an import of the file.

``op_id`` identifies the annotator's newest answer, undo or redo of the image, and ``changed`` is
its time if an undo or redo came after the answer. With them, the import merges copies of a
workspace. Skips and undone answers follow as lines of kind ``skip``, ``undo`` and ``unflag``.

``exported`` is a digest of kind and label. A line whose label no longer has it was edited: it is a
new answer, whatever its ``class_uid`` and ``op_id`` are.
"""

import sys
from collections.abc import Iterator, Mapping
from json.encoder import encode_basestring_ascii
from pathlib import Path
from typing import BinaryIO

import msgspec

from dgaal_cli.errors import InputDataError
from dgaal_cli.escaping import show
from dgaal_cli.ids import ClassUid
from dgaal_cli.store.exchange import marks
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

_KEYS = (
    *("file_name", "label", "class_uid", "kind", "effective", "annotator", "provenance", "at"),
    *("round", "elapsed_ms", "note", "sha256", "synthetic", "parent", "op_id", "changed"),
    "exported",
)
_LINE = "{" + ", ".join(f'"{key}": %s' for key in _KEYS) + "}\n"


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
    synthetic: bool = False
    effective: bool = True


_DECODER = msgspec.json.Decoder(_Line)
_MAX_DIGITS = sys.int_info.default_max_str_digits
"""Longer numbers are refused, but ``_DECODER`` skips them in unknown fields."""


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
    line = _decode(text, name=name, number=number)
    sample = line.file_name if line.file_name is not None else line.id
    if sample is None or sample == "":
        raise InputDataError(f"{where}, column file_name: the name is missing")
    needs_label = line.kind in ("label", "adjudicate", "inherit")
    if needs_label and line.label in (None, ""):
        return Parsed(where=where, names=(str(sample),), is_cleared=True) if line.exported else None
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
        op_id=line.op_id,
        changed=line.changed,
        synthetic=line.synthetic,
        exported=_mark(line),
        is_image_label=False,
        is_effective=line.effective,
    )


def _mark(line: _Line) -> str | None:
    """Return the mark of a line; jsonl has the event's id in a field of its own."""
    if line.exported is None or line.op_id is None:
        return line.exported
    return f"{line.exported}-{line.op_id}"


def _decode(text: str, *, name: str, number: int) -> _Line:
    if len(text) < _MAX_DIGITS:
        try:
            return _DECODER.decode(text)
        except (msgspec.MsgspecError, RecursionError):
            pass  # an error, or text that is not Unicode
    where = f"{name}, line {number}"
    return convert(parse_json(text, where=name, line=number), _Line, where=where)


def answer_line(answer: AnswerRecord, text: LabelText, names: Mapping[ClassUid, str]) -> bytes:
    """Return the line of one answer, or of what was withdrawn.

    Args:
        answer: Answer to write.
        text: Converter of the task's labels.
        names: Names of the classes of the label.
    """
    label = text.to_text(answer.label, names) if answer.label else None
    values = (
        answer.sample_id,
        label,
        text.single_class(answer.label) if answer.label else None,
        answer.kind,
        answer.is_effective,
        answer.annotator,
        answer.provenance,
        answer.at,
        answer.round,
        answer.elapsed_ms,
        answer.note,
        answer.sha256.hex(),
        answer.is_synthetic,
        answer.parent,
        answer.op_id,
        answer.changed_at,
        marks.digest(answer.kind, label),
    )
    return (_LINE % tuple(map(_json, values))).encode()


def _json(value: str | int | None) -> str:
    """Return ``json.dumps(value)``, which takes a third of the time in a line of many values."""
    if isinstance(value, str):
        return encode_basestring_ascii(value)
    return "null" if value is None else repr(value).lower()

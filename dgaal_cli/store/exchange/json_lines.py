"""JSON Lines: the lossless format, with the current answers of every annotator.

Keys and order are fixed and text is escaped to ASCII: the same store exports the same bytes, and
so does a new store of the same pool after an import of the file.

``op_id`` identifies the annotator's newest answer, undo or redo of the image, and ``changed`` is
its time if an undo or redo came after the answer. With them, the import merges copies of a
workspace. Skips and undone answers follow as lines of kind ``skip``, ``undo`` and ``unflag``.

``exported`` is a digest of kind and label. A line whose label no longer has it was edited: it is a
new answer, whatever its ``class_uid`` and ``op_id`` are.

If images were audited, ``audited`` states for each line whether its image is one of them. Imports
ignore it: how an image was drawn is part of the queries, which no export holds.
"""

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache, partial
from json.encoder import encode_basestring_ascii as _quoted
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
from dgaal_cli.store.records import AnswerRecord, Label, Verdict


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
    head = b'{"file_name": '

    def write(self, stream: BinaryIO, job: ExportJob) -> int:
        """Write all answers and what was withdrawn, and return the number of answers."""
        count = 0
        for line in _lines(job, job.answers):
            stream.write(line)
            count += 1
        stream.writelines(_lines(job, job.withdrawn))
        return count

    def read(self, path: Path) -> Iterator[Parsed]:
        """Yield the answer of each line; lines without a label are skipped."""
        return parse_lines(path)


def parse_lines(path: Path) -> Iterator[Parsed]:
    """Yield the answer of each line; ``InputDataError`` names line and column."""
    name = show(path.name)
    for number, line in read_lines(path):
        if text := line.strip():
            parsed = _parse(text, name=name, number=number)
            if parsed is not None:
                yield parsed


def _parse(text: str, *, name: str, number: int) -> Parsed | None:
    where = f"{name}, line {number}"
    line = _decode(text, name=name, number=number)
    sample = line.file_name if line.file_name is not None else line.id
    if sample is None or sample == "":
        raise InputDataError(f"{where}, column file_name: the name is missing")
    needs_label = line.kind in ("label", "adjudicate", "inherit")
    if needs_label and line.label in (None, "", -1):  # -1: Hugging Face's number for none
        return Parsed(where=where, names=(str(sample),), is_cleared=True) if line.exported else None
    if not needs_label and line.label is not None:
        raise InputDataError(f"{where}, column label: an answer of kind {line.kind} has none")
    return Parsed(
        where=where,
        names=tuple(str(name) for name in (line.file_name, line.id) if name is not None),
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
    return _line(answer, *_stated(answer.kind, answer.label, text, names))


def _lines(job: ExportJob, answers: Iterable[AnswerRecord]) -> Iterator[bytes]:
    """Yield ``answer_line`` of many answers, whose labels are converted once."""
    stated = lru_cache(maxsize=128)(partial(_stated, text=job.text, names=job.names))
    return (
        _line(answer, *stated(answer.kind, answer.label), job.audited_member(answer))
        for answer in answers
    )


def _stated(
    kind: Verdict, label: Label | None, text: LabelText, names: Mapping[ClassUid, str]
) -> tuple[str, str, str]:
    """Return a label as text, its class, and the digest of its kind and text, all as JSON."""
    shown = None if label is None else text.to_text(label, names)
    uid = None if label is None else text.single_class(label)
    return json.dumps(shown), json.dumps(uid), json.dumps(marks.digest(kind, shown))


def _line(
    answer: AnswerRecord, label: str, class_uid: str, exported: str, audited: str = ""
) -> bytes:
    """Return what ``json.dumps`` returns of these values, in a tenth of its time."""
    number, elapsed, parent, changed = (
        answer.round,
        answer.elapsed_ms,
        answer.parent,
        answer.changed_at,
    )
    return (
        f'{{"file_name": {_quoted(answer.sample_id)}, "label": {label}, "class_uid": {class_uid}, '
        f'"kind": "{answer.kind}", "effective": {"true" if answer.is_effective else "false"}, '
        f'"annotator": {_quoted(answer.annotator)}, "provenance": "{answer.provenance}", '
        f'"at": "{answer.at}", "round": {"null" if number is None else number}, '
        f'"elapsed_ms": {"null" if elapsed is None else elapsed}, "note": {_quoted(answer.note)}, '
        f'"sha256": "{answer.sha256.hex()}", '
        f'"synthetic": {"true" if answer.is_synthetic else "false"}, '
        f'"parent": {"null" if parent is None else _quoted(parent)}, '
        f'"op_id": {_quoted(answer.op_id)}, '
        f'"changed": {"null" if changed is None else _quoted(changed)}, '
        f'"exported": {exported}{audited}}}\n'
    ).encode()

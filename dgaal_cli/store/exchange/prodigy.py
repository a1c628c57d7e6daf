"""Prodigy: JSON Lines of tasks that were accepted, rejected or ignored."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from dgaal_cli.errors import InputDataError
from dgaal_cli.escaping import show
from dgaal_cli.store.exchange.base import (
    ExportJob,
    Origin,
    Parsed,
    convert,
    parse_json,
    read_lines,
    with_and_without_suffix,
)

_PASSED_OVER = {"accept": "answers without a choice", "reject": "rejected answers"}
_OTHER = "ignored answers"
_LATEST_S = 253_402_300_799
"""End of the year 9999, in Unix seconds."""


class _Option(msgspec.Struct):
    id: str | int = ""
    text: str | None = None
    """What the annotator sees."""


class _Task(msgspec.Struct, kw_only=True):
    image: str = ""
    path: str | None = None
    """Path of the image, where ``image`` holds its bytes."""
    label: str | None = None
    accept: list[str | int] | None = None
    """Chosen options of the interface "choice"."""
    options: list[_Option] = []
    answer: str = "accept"
    meta: dict[str, Any] = {}
    annotator: str | None = msgspec.field(default=None, name="_annotator_id")
    session: str | None = msgspec.field(default=None, name="_session_id")
    timestamp: float | None = msgspec.field(default=None, name="_timestamp")


class Prodigy:
    """Tasks of the interfaces "classification" and "choice", with one class each."""

    suffix = ".jsonl"
    head = b'{"image": '

    def write(self, stream: BinaryIO, job: ExportJob) -> int:
        """Write the effective labels by name, as accepted tasks of "classification"."""
        count = 0
        for label, uid in job.class_labels("prodigy"):
            task = {
                "image": label.sample_id,
                "path": label.sample_id,
                "label": job.names[uid],
                "answer": "accept",
                "meta": job.origin_of(label),
            }
            stream.write(json.dumps(task).encode() + b"\n")
            count += 1
        return count

    def read(self, path: Path) -> Iterator[Parsed]:
        """Yield the newest answer of each annotator to each image, and what else is counted."""
        name = show(path.name)
        newest: dict[tuple[str | None, tuple[str, ...]], Parsed] = {}
        for number, text in read_lines(path):
            if not text.strip():
                continue
            where = f"{name}, line {number}"
            task = convert(parse_json(text, where=name, line=number), _Task, where=where)
            parsed = _parsed(task, where)
            if parsed.passed_over or parsed.is_cleared:
                yield parsed
                continue
            key = (parsed.annotator, parsed.names)
            if key in newest:
                kind = "older answers of the same annotator"
                yield Parsed(where=newest[key].where, names=parsed.names, passed_over=kind)
            newest[key] = parsed
        yield from newest.values()


def _parsed(task: _Task, where: str) -> Parsed:
    names = _names(task, where)
    origin = Origin()
    if not task.meta.keys().isdisjoint(("exported", "provenance")):
        origin = convert(task.meta, Origin, where=where)
    classes = _classes(task)
    if task.answer != "accept" or not classes:
        if origin.exported:
            return Parsed(where=where, names=names, is_cleared=True)
        return Parsed(where=where, names=names, passed_over=_PASSED_OVER.get(task.answer, _OTHER))
    if len(classes) > 1:
        raise InputDataError(f"{where}, field accept: {len(classes)} choices; an image has one")
    return Parsed(
        where=where,
        part="field",
        names=names,
        labels=(classes[0],),
        annotator=origin.annotator or task.annotator or task.session,
        provenance=origin.provenance,
        at=origin.at or _time(task, where),
        round=origin.round,
        exported=origin.exported,
        is_image_label=origin.exported is not None,
    )


def _classes(task: _Task) -> list[str]:
    """Return the names of the chosen classes; options have an id and a text, which is shown."""
    if task.accept is None:
        return [task.label] if task.label else []
    texts = {str(option.id): option.text for option in task.options}
    return [texts.get(str(choice)) or str(choice) for choice in task.accept]


def _names(task: _Task, where: str) -> tuple[str, ...]:
    """Return the possible sample ids: the path, else the text of the image unless it is bytes."""
    is_bytes = task.image.startswith("data:")
    named = [task.path, task.meta.get("file"), "" if is_bytes else task.image]
    found = [name for name in named if isinstance(name, str) and name]
    if not found:
        raise InputDataError(
            f"{where}, field image: neither a path nor a file name is given; annotate with "
            "--remove-base64, or keep the field path"
        )
    readings = (reading for name in found for reading in with_and_without_suffix(name))
    return tuple(dict.fromkeys(readings))


def _time(task: _Task, where: str) -> str | None:
    if task.timestamp is None:
        return None
    if not 0 <= task.timestamp <= _LATEST_S:
        raise InputDataError(f"{where}, field _timestamp: {task.timestamp:g} is not a time")
    return datetime.fromtimestamp(task.timestamp, UTC).isoformat()

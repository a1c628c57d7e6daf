"""doccano: JSON Lines of image classification, each with a list of labels."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

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


class _Line(Origin, kw_only=True):
    filename: str | None = None
    upload_name: str | None = None
    """Name of the uploaded file, in some versions beside a name of doccano's own."""
    label: list[Any] | str | None = None


class Doccano:
    """One line for each image: ``filename``, and ``label`` with one class."""

    suffix = ".jsonl"
    head = b'{"id": '

    def write(self, stream: BinaryIO, job: ExportJob) -> int:
        """Write the effective labels by name."""
        number = 0
        for number, (label, uid) in enumerate(job.class_labels("doccano"), start=1):
            line = {"id": number, "filename": label.sample_id, "label": [job.names[uid]]}
            stream.write(json.dumps(line | job.origin_of(label)).encode() + b"\n")
        return number

    def read(self, path: Path) -> Iterator[Parsed]:
        """Yield the label of each line; lines that never had a label are skipped."""
        name = show(path.name)
        for number, text in read_lines(path):
            if not text.strip():
                continue
            where = f"{name}, line {number}"
            line = convert(parse_json(text, where=name, line=number), _Line, where=where)
            parsed = _parsed(line, where)
            if parsed is not None:
                yield parsed


def _parsed(line: _Line, where: str) -> Parsed | None:
    names = [name for name in (line.upload_name, line.filename) if name]
    if not names:
        raise InputDataError(f"{where}, field filename: the name is missing")
    found = [line.label] if isinstance(line.label, str) else line.label or []
    if len(found) > 1:
        raise InputDataError(f"{where}, field label: {len(found)} labels; an image has one class")
    readings = tuple(reading for name in names for reading in with_and_without_suffix(name))
    if not found or found[0] == "":
        return Parsed(where=where, names=readings, is_cleared=True) if line.exported else None
    if not isinstance(found[0], str):
        raise InputDataError(f"{where}, field label: it must be the name of a class")
    return Parsed(
        where=where,
        part="field",
        names=readings,
        labels=(found[0],),
        annotator=line.annotator,
        provenance=line.provenance,
        at=line.at,
        round=line.round,
        exported=line.exported,
    )

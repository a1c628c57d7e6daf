"""Label Studio: JSON tasks, each with one choice."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec

from dgaal_cli.errors import InputDataError
from dgaal_cli.store.exchange.base import Document, ExportJob, Origin, Parsed, convert
from dgaal_cli.store.exchange.json_array import json_array
from dgaal_cli.store.records import AnswerRecord


class _Value(msgspec.Struct, kw_only=True):
    choices: list[str] = []


class _Result(msgspec.Struct, kw_only=True):
    type: str = ""
    value: _Value = msgspec.field(default_factory=_Value)


class _Annotation(msgspec.Struct, kw_only=True):
    result: list[_Result]
    was_cancelled: bool = False


class _Task(msgspec.Struct, kw_only=True):
    data: dict[str, Any]
    annotations: list[_Annotation] = []
    meta: Origin | None = None


class LabelStudio:
    """Tasks for a config with ``<Choices name="choice" toName="image">``."""

    suffix = ".json"

    def write(self, stream: BinaryIO, job: ExportJob) -> int:
        """Write the effective labels by name."""
        number = 0

        def tasks() -> Iterator[dict[str, Any]]:
            nonlocal number
            for number, (label, uid) in enumerate(job.class_labels("labelstudio"), start=1):
                yield _task(number, label, job.names[uid], job.origin_of(label))

        stream.writelines(json_array(tasks()))
        stream.write(b"\n")
        return number

    def read(self, path: Path) -> Iterator[Parsed]:
        """Yield the label of each choice; canceled tasks and other kinds of results are skipped."""
        document = Document(path)
        convert(document.value, list[Any], where=document.name)
        for task, where in document.children(_Task):
            origin = msgspec.structs.asdict(task.meta or Origin())
            if origin["exported"] and not any(_choices(each) for each in task.annotations):
                yield Parsed(where=where, names=_names(task.data, where), is_cleared=True)
            for annotation in task.annotations:
                choices = _choices(annotation)
                if annotation.was_cancelled or not choices:
                    continue
                if len(choices) > 1:
                    raise InputDataError(f"{where}: {len(choices)} choices; an image has one class")
                yield Parsed(
                    where=where,
                    part="field",
                    names=_names(task.data, where),
                    labels=(choices[0],),
                    **origin,
                )


def _task(number: int, label: AnswerRecord, name: str, origin: dict[str, Any]) -> dict[str, Any]:
    result = {
        "id": f"r{number}",
        "from_name": "choice",
        "to_name": "image",
        "type": "choices",
        "value": {"choices": [name]},
    }
    return {
        "id": number,
        "data": {"image": label.sample_id, "file_name": label.sample_id},
        "annotations": [
            {"id": number, "was_cancelled": False, "ground_truth": False, "result": [result]}
        ],
        "meta": origin,
    }


def _choices(annotation: _Annotation) -> list[str]:
    return [
        choice
        for result in annotation.result
        if result.type == "choices"
        for choice in result.value.choices
    ]


def _names(data: dict[str, Any], where: str) -> tuple[str, ...]:
    """Return the possible sample ids of the task's image, which Label Studio names by a URL."""
    if isinstance(own := data.get("file_name"), str):
        return (own,)
    if not isinstance(image := data.get("image"), str):
        raise InputDataError(f"{where}, data: neither file_name nor image is given")
    names = [image]
    try:
        url = urlsplit(image)
        served = [*parse_qs(url.query).get("d", []), unquote(url.path).lstrip("/")]
    except ValueError:
        return (image,)
    for path in served:  # /data/local-files/?d=folder/name.png, /data/upload/1/name.png
        parts = path.split("/")
        names += ["/".join(parts[start:]) for start in range(len(parts))]
    return tuple(dict.fromkeys(names))

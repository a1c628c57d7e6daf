"""Label Studio: JSON tasks, each with one choice."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec

from dgaal_cli.errors import InputDataError
from dgaal_cli.escaping import show
from dgaal_cli.store.exchange import marks
from dgaal_cli.store.exchange.base import Document, ExportJob, Origin, Parsed, convert
from dgaal_cli.store.exchange.json_array import json_array
from dgaal_cli.store.records import AnswerRecord

_UPLOADED = re.compile(r"(?<![^/])[0-9a-f]{8}-(?=[^/]+$)")
_LONGEST_S = 1_000_000.0


class _Value(msgspec.Struct, kw_only=True):
    choices: list[str] = []


class _Result(msgspec.Struct, kw_only=True):
    type: str = ""
    from_name: str = ""
    value: _Value = msgspec.field(default_factory=_Value)


class _Annotation(msgspec.Struct, kw_only=True):
    result: list[_Result]
    was_cancelled: bool = False
    completed_by: int | str | dict[str, Any] | None = None
    created_at: str | None = None
    updated_at: str | None = None
    lead_time: float | None = None


class _Task(msgspec.Struct, kw_only=True):
    data: dict[str, Any]
    annotations: list[_Annotation] = []
    predictions: list[Any] = []
    drafts: list[Any] = []
    meta: dict[str, Any] | None = None


class LabelStudio:
    """Tasks for a config with ``<Choices name="choice" toName="image">``."""

    suffix = ".json"
    head = b"["

    def __init__(self, *, control: str | None = None, image_key: str | None = None) -> None:
        """Choose what to read.

        Args:
            control: Name of the Choices control with the classes; None allows one control only.
            image_key: Key of the image in ``data``; None: ``file_name``, ``image``, or the only
                text.
        """
        self.control = control
        self.image_key = image_key

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
        """Yield the answer of each annotator, and what else the tasks hold to be counted."""
        document = Document(path)
        convert(document.value, list[Any], where=document.name)
        for task, where in document.children(_Task):
            names = _names(task.data, self.image_key, where)
            for kind, others in (("predictions", task.predictions), ("drafts", task.drafts)):
                yield from (Parsed(where=where, names=names, passed_over=kind) for _ in others)
            yield from self._answers(task, names, where)

    def _answers(self, task: _Task, names: tuple[str, ...], where: str) -> Iterator[Parsed]:
        origin = _origin(task, where)
        newest: dict[str | None, tuple[_Annotation, str]] = {}
        for annotation in sorted(task.annotations, key=_time):
            choices = self._choices(annotation, where)
            who = _annotator(annotation)
            if annotation.was_cancelled or not choices:
                kind = (
                    "canceled answers" if annotation.was_cancelled else "answers without a choice"
                )
                yield Parsed(where=where, names=names, passed_over=kind)
                continue
            if len(choices) > 1:
                raise InputDataError(f"{where}: {len(choices)} choices; an image has one class")
            if who in newest:
                kind = "older answers of the same annotator"
                yield Parsed(where=where, names=names, passed_over=kind)
            newest[who] = annotation, choices[0]
        if origin.exported and not newest:
            yield Parsed(where=where, names=names, is_cleared=True)
        mark = marks.read(origin.exported) if origin.exported else None
        for who, (annotation, choice) in newest.items():
            parsed = Parsed(
                where=where,
                part="field",
                names=names,
                labels=(choice,),
                annotator=who,
                at=_time(annotation) or None,
                elapsed_ms=_milliseconds(annotation.lead_time),
            )
            is_exported = mark is not None and marks.is_untouched(mark, "label", [choice])
            if is_exported or (len(newest) == 1 and origin != Origin()):
                known = msgspec.structs.asdict(origin)
                parsed = msgspec.structs.replace(parsed, **known, elapsed_ms=None)
            yield parsed

    def _choices(self, annotation: _Annotation, where: str) -> list[str]:
        found = [each for each in annotation.result if each.type == "choices"]
        controls = sorted({each.from_name for each in found})
        if self.control is not None:
            found = [each for each in found if each.from_name == self.control]
        elif len(controls) > 1:
            raise InputDataError(
                f"{where}: choices of {len(controls)} controls, {', '.join(map(show, controls))}; "
                "give the one with the classes with --control"
            )
        return [choice for each in found for choice in each.value.choices]


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


def _origin(task: _Task, where: str) -> Origin:
    """Return the origin of a task that dgaal exported; an empty one for other tasks."""
    if task.meta is None or task.meta.keys().isdisjoint(("exported", "provenance")):
        return Origin()
    return convert(task.meta, Origin, where=where)


def _annotator(annotation: _Annotation) -> str | None:
    """Return the name of an annotator: the address if the file has it, else ``labelstudio-ID``."""
    who = annotation.completed_by
    if isinstance(who, dict):
        who = who.get("email") or who.get("username") or who.get("id")
    return f"labelstudio-{who}" if isinstance(who, int) else who or None


def _milliseconds(seconds: float | None) -> int | None:
    return None if seconds is None else round(min(seconds, _LONGEST_S) * 1000)


def _time(annotation: _Annotation) -> str:
    return annotation.updated_at or annotation.created_at or ""


def _names(data: dict[str, Any], key: str | None, where: str) -> tuple[str, ...]:
    """Return the possible sample ids of the task's image, which Label Studio names by a URL."""
    if key is None and isinstance(own := data.get("file_name"), str):
        return (own,)
    image = data.get(_image_key(data, where) if key is None else key)
    if not isinstance(image, str):
        raise InputDataError(f"{where}, data: no text under the key {key}")
    names = [image]
    try:
        url = urlsplit(image)
        names += [*parse_qs(url.query).get("d", []), unquote(url.path).lstrip("/")]
    except ValueError:
        return (image,)
    # Label Studio puts 8 hex digits before the name of an uploaded file.
    names += [_UPLOADED.sub("", name) for name in names if _UPLOADED.search(name)]
    return tuple(dict.fromkeys(name for name in names if name))


def _image_key(data: dict[str, Any], where: str) -> str:
    texts = [key for key, value in data.items() if isinstance(value, str)]
    if "image" in texts:
        return "image"
    if len(texts) != 1:
        found = f"the keys with texts are {', '.join(map(show, texts))}" if texts else "no text"
        raise InputDataError(
            f"{where}, data: neither file_name nor image is given, {found}; "
            "give the key of the image with --image-key"
        )
    return texts[0]

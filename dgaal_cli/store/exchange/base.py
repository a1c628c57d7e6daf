"""Interfaces and values of exchange formats: exported answers, images, parsed lines."""

import itertools
import json
import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO, Literal, Protocol, TypeVar, runtime_checkable

import msgspec

from dgaal_cli.errors import InputDataError, StorageError, UsageError
from dgaal_cli.escaping import show
from dgaal_cli.ids import ClassUid, ItemId, SampleId
from dgaal_cli.store.exchange import marks
from dgaal_cli.store.records import AnswerRecord, ClassRecord, FileProvenance, Label, Verdict

Link = Literal["symlink", "hardlink", "copy"]
"""How a folder format includes the pool's images."""

MAX_DOCUMENT_BYTES = 2**30
MAX_LINE_BYTES = 2**20


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not a number in JSON")


_DECODER = json.JSONDecoder()
_STRICT_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)
_SPACE = re.compile(r"[ \t\n\r]*")
_T = TypeVar("_T")


class Images(Protocol):
    """Access to the images of a workspace."""

    def path(self, sample_id: SampleId, *, is_synthetic: bool) -> str | None:
        """Return the image's own file, which may be gone; None for archives and arrays."""
        ...

    def known_digest(self, sample_id: SampleId, path: str) -> bytes | None:
        """Return the SHA-256 of a file that is unchanged since it was read; None: read it."""
        ...

    def content(self, sample_id: SampleId, *, is_synthetic: bool) -> tuple[bytes, str]:
        """Return an encoded image and the suffix that its sample id lacks (often none)."""
        ...


class LabelText(Protocol):
    """Conversion between a task's labels and text."""

    def to_text(self, label: Label, names: Mapping[ClassUid, str]) -> str:
        """Return the label as text; ``from_text`` reverses it exactly.

        Args:
            label: Label of this task.
            names: Names of the classes of the label.
        """
        ...

    def from_text(
        self, texts: Sequence[str], find_class: Callable[[Sequence[str]], ClassUid]
    ) -> Label:
        """Parse a label.

        Args:
            texts: Possible readings of the field, likeliest first, at least one.
            find_class: Finds a class by the possible readings of its name, likeliest first.

        Raises:
            ValueError: The text is not a label of this task; the message gives the reason.
        """
        ...

    def single_class(self, label: Label) -> ClassUid | None:
        """Return the class of an image-level label, or None if the label states more."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportJob:
    """Content of an export."""

    answers: Iterable[AnswerRecord]
    """Current answers of every annotator, oldest first; can be read once."""
    labels: Iterable[AnswerRecord]
    """The answer that is the label of each image, by name; can be read once."""
    distinct: Iterable[tuple[Label, SampleId]] = ()
    """Each different label among ``labels`` once, with an image; checked before writing."""
    withdrawn: Iterable[AnswerRecord] = ()
    """Skips and what was undone, for formats that merge copies of a workspace."""
    classes: Sequence[ClassRecord]
    names: Mapping[ClassUid, str]
    """Name of each class, retired classes included."""
    text: LabelText
    images: Images
    link: Link = "symlink"
    audited: Collection[ItemId] = frozenset()
    """Images that measure the model; if there are any, formats with room for it mark them."""

    def text_of(self, answer: AnswerRecord) -> str:
        """Return an answer's label as text; empty without a label."""
        return self.text.to_text(answer.label, self.names) if answer.label else ""

    def origin_of(self, answer: AnswerRecord) -> dict[str, Any]:
        """Return the fields of an ``Origin`` for an answer."""
        origin: dict[str, Any] = {
            "annotator": answer.annotator,
            "provenance": answer.provenance,
            "at": answer.at,
            "round": answer.round,
            "exported": self.mark_of(answer),
        }
        return origin | ({"audited": answer.item_id in self.audited} if self.audited else {})

    def audited_member(self, answer: AnswerRecord) -> str:
        """Return the mark of an audited image as the last member of a JSON object; often empty."""
        if not self.audited:
            return ""
        return f', "audited": {"true" if answer.item_id in self.audited else "false"}'

    def mark_of(self, answer: AnswerRecord) -> str:
        """Return the mark by which an import sees whether the label was edited in the file."""
        return marks.make(self.text_of(answer), answer.op_id)

    def class_labels(self, format: str) -> Iterator[tuple[AnswerRecord, ClassUid]]:  # noqa: A002
        """Return ``labels`` with their classes, for a format with one class per image.

        Raises:
            UsageError: A label of ``distinct`` states more than one class.
        """
        # Few labels of classification differ.
        single_class = lru_cache(maxsize=128)(self.text.single_class)

        def uid_of(label: Label | None, sample_id: SampleId) -> ClassUid:
            uid = single_class(label) if label else None
            if uid is None:
                raise UsageError(
                    f"the format {format} holds one class per image, and the label of "
                    f"{sample_id} states more; export to jsonl or csv instead"
                )
            return uid

        for label, sample_id in self.distinct:
            uid_of(label, sample_id)
        return ((answer, uid_of(answer.label, answer.sample_id)) for answer in self.labels)


class Origin(msgspec.Struct, kw_only=True):
    """Who gave a label and when, as JSON formats of other programs hold it."""

    annotator: str | None = None
    provenance: FileProvenance | None = None
    at: str | None = None
    round: int | None = None
    exported: str | None = None
    """Mark of the label when dgaal exported it; see ``marks``."""


class Parsed(msgspec.Struct, frozen=True, kw_only=True):
    """One label of a file, before its sample and classes are found in the store."""

    where: str
    """File and position for error messages, escaped."""
    part: Literal["column", "field"] = "column"
    """Word for a part of the line in error messages."""
    names: tuple[str, ...]
    """Possible sample ids, likeliest first."""
    labels: tuple[str, ...] = ()
    """Possible readings of the label, likeliest first; empty for ``cannot_tell`` and ``flag``."""
    class_uid: str | None = None
    kind: Verdict = "label"
    annotator: str | None = None
    provenance: FileProvenance | None = None
    at: str | None = None
    round: int | None = None
    elapsed_ms: int | None = None
    note: str = ""
    sha256: str | None = None
    """Digest of the labeled image, in hex."""
    op_id: str | None = None
    """Id of the event in the workspace that exported it."""
    changed: str | None = None
    """Time of that event; None if it equals ``at``."""
    synthetic: bool = False
    """The image was synthesized in the workspace that exported it."""
    exported: str | None = None
    """Mark of the label when it was exported; see ``marks``."""
    is_image_label: bool = True
    """The line holds the label of the image; False: one annotator's answer."""
    is_effective: bool = True
    """The answer was the label of the image when it was exported."""
    passed_over: str | None = None
    """What this answer is, in words, if it is no label, such as "canceled"; else None."""
    is_cleared: bool = False
    """The label was removed from the line since it was exported."""


@runtime_checkable
class FileFormat(Protocol):
    """A format of one file."""

    suffix: str
    head: bytes
    """How each export begins that holds a label."""

    def write(self, stream: BinaryIO, job: ExportJob) -> int:
        """Write all labels and return their number."""
        ...

    def read(self, path: Path) -> Iterator[Parsed]:
        """Yield the labels of a file; ``InputDataError`` names the position of an error."""
        ...


@runtime_checkable
class FolderFormat(Protocol):
    """A format of one folder with images."""

    def fill(self, folder: Path, job: ExportJob) -> int:
        """Write all labels into an empty folder and return their number."""
        ...

    def read(self, path: Path) -> Iterator[Parsed]:
        """Yield the labels of a folder; ``InputDataError`` names the file of an error."""
        ...


class Document:
    """A parsed JSON file that knows the positions of its parts."""

    def __init__(self, path: Path) -> None:
        """Read and parse a file.

        Raises:
            InputDataError: The file is not JSON, too large or nested too deeply; the message names
                line and column.
        """
        self.name = show(path.name)
        self._text = _text_of(path)
        self.value: Any = parse_json(self._text, where=self.name)

    def places(self, key: str | None = None) -> Iterator[tuple[int | str, str]]:
        """Yield index or key of each child and its position, as ``FILE, line 3, column 5``.

        Args:
            key: Key of the array or object; None means the whole document.
        """
        start = _skip(self._text, 0)
        if key is not None:
            start = dict(_children(self._text, start))[key]
        line, newline, seen = 1, -1, 0
        for child, at in _children(self._text, start):
            line += self._text.count("\n", seen, at)
            newline = max(newline, self._text.rfind("\n", seen, at))
            seen = at
            yield child, f"{self.name}, line {line}, column {at - newline}"

    def children(self, kind: type[_T], key: str | None = None) -> Iterator[tuple[_T, str]]:
        """Yield each child of an array, converted to ``kind``, and its position.

        The children of the array ``key`` are called ``key[0]``; those of the document are tasks.

        Raises:
            InputDataError: A child has another type.
        """
        array = self.value if key is None else self.value[key]
        for value, (index, place) in zip(array, self.places(key), strict=True):
            where = f"{place}, {key}[{index}]" if key else f"{place}, task {int(index) + 1}"
            yield convert(value, kind, where=where), where


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield number and text of each line of a UTF-8 file, line end included.

    Raises:
        InputDataError: A line is too long or not UTF-8; the message names its number.
        StorageError: The file cannot be read.
    """
    name = show(path.name)
    try:
        with path.open("rb") as stream:
            for number in itertools.count(1):
                where = f"{name}, line {number}"
                line = stream.readline(MAX_LINE_BYTES + 1)
                if not line:
                    return
                if len(line) > MAX_LINE_BYTES:
                    raise InputDataError(f"{where}: longer than {MAX_LINE_BYTES} bytes")
                try:
                    yield number, line.decode("utf-8-sig" if number == 1 else "utf-8")
                except UnicodeDecodeError as error:
                    raise InputDataError(f"{where}, column {error.start + 1}: not UTF-8") from None
    except OSError as error:
        raise unreadable(path, error) from error


def _text_of(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_DOCUMENT_BYTES:
            raise InputDataError(f"{path.name} is larger than {MAX_DOCUMENT_BYTES >> 20} MiB")
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise unreadable(path, error) from error
    except UnicodeDecodeError as error:
        raise InputDataError(f"{path.name}, byte {error.start}: not UTF-8") from None


def _children(text: str, start: int) -> Iterator[tuple[int | str, int]]:
    """Yield key or index, and offset, of each child of the object or array at ``start``.

    The text must be valid JSON.
    """
    at, index = _skip(text, start + 1), 0
    while text[at] not in "]}":
        child: int | str = index
        if text[start] == "{":
            child, end = _DECODER.raw_decode(text, at)
            at = _skip(text, _skip(text, end) + 1)
        yield child, at
        at = _skip(text, _DECODER.raw_decode(text, at)[1])
        if text[at] == ",":
            at = _skip(text, at + 1)
        index += 1


def _skip(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


def parse_json(text: str, *, where: str, line: int | None = None) -> Any:
    """Parse JSON; ``InputDataError`` for NaN and for nesting that is too deep.

    Args:
        text: One document.
        where: Escaped file name.
        line: Line number if the text is one line of a file.
    """
    try:
        return _STRICT_DECODER.decode(text)
    except json.JSONDecodeError as error:
        place = f"line {line or error.lineno}, column {error.colno}"
        raise InputDataError(f"{where}, {place}: {error.msg}") from None
    except (ValueError, RecursionError) as error:
        place = where if line is None else f"{where}, line {line}"
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise InputDataError(f"{place}: {reason}") from None


def convert(value: Any, kind: type[_T], *, where: str) -> _T:
    """Convert a parsed value to a type; ``InputDataError`` names an invalid field."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise InputDataError(f"{where}: {error}") from None
    except UnicodeEncodeError:  # msgspec cannot look up such a key
        raise InputDataError(f"{where}: a key is not Unicode text") from None


def unreadable(path: Path, error: OSError) -> StorageError:
    """Return the error for a file that cannot be read."""
    return StorageError(f"cannot read {path}: {error.strerror or error}")


def with_and_without_suffix(name: str) -> tuple[str, ...]:
    """Return the possible sample ids of an exported image.

    The export adds a suffix to images from arrays, which have no file name.
    """
    bare = os.path.splitext(name)[0]  # noqa: PTH122 - a sample id is not a path of this machine
    return (name, bare) if bare != name else (name,)

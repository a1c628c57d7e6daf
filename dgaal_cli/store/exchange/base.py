"""What every exchange format is given and gives: exported answers, images, parsed lines."""

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal, Protocol, TypeVar, runtime_checkable

import msgspec

from dgaal_cli.errors import InputDataError, StorageError, UsageError
from dgaal_cli.escaping import show
from dgaal_cli.ids import ClassUid, SampleId
from dgaal_cli.store.records import AnswerRecord, ClassRecord, Label, Provenance, Verdict

Link = Literal["symlink", "hardlink", "copy"]
"""How a folder format shows the pool's images."""

MAX_DOCUMENT_BYTES = 2**30
MAX_LINE_BYTES = 2**20

_DECODER = json.JSONDecoder()
_SPACE = re.compile(r"[ \t\n\r]*")
_T = TypeVar("_T")


class Images(Protocol):
    """Where the pool's images can be had."""

    def path(self, sample_id: SampleId, *, is_synthetic: bool) -> Path | None:
        """Return the image's own file, or None if it lies in an archive or array."""
        ...

    def content(self, sample_id: SampleId, *, is_synthetic: bool) -> tuple[bytes, str]:
        """Return an encoded image and the suffix that its sample id lacks (often none)."""
        ...


class LabelText(Protocol):
    """How a task writes a label into one text field of a file, and reads it back."""

    def to_text(self, label: Label, names: Mapping[ClassUid, str]) -> str:
        """Return the label as text that ``from_text`` reads back exactly.

        Args:
            label: Of this task.
            names: Name of each class that the label may name.
        """
        ...

    def from_text(
        self, texts: Sequence[str], find_class: Callable[[Sequence[str]], ClassUid]
    ) -> Label:
        """Read a label.

        Args:
            texts: What the field may mean, likeliest first, at least one.
            find_class: Finds a class by what its name may be, likeliest first.

        Raises:
            ValueError: The text is no label of this task; the message says why.
        """
        ...

    def single_class(self, label: Label) -> ClassUid | None:
        """Return the class that stands for the whole image, or None if the label says more."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportJob:
    """Everything a format may write."""

    answers: Sequence[AnswerRecord]
    """Every annotator's present answers, oldest first."""
    classes: Sequence[ClassRecord]
    names: Mapping[ClassUid, str]
    """Name of each class, also of those no longer in use."""
    text: LabelText
    images: Images
    link: Link = "symlink"

    def labels(self) -> list[AnswerRecord]:
        """Return the effective label of each image, by name."""
        found = [answer for answer in self.answers if answer.is_effective and answer.label]
        return sorted(found, key=lambda answer: answer.sample_id)

    def text_of(self, answer: AnswerRecord) -> str:
        """Return an answer's label as text, empty without one."""
        return self.text.to_text(answer.label, self.names) if answer.label else ""

    def class_labels(self, format: str) -> list[tuple[AnswerRecord, ClassUid]]:  # noqa: A002
        """Return ``labels`` with the class of each, for a format that holds one class an image.

        Raises:
            UsageError: A label says more than one class.
        """
        found: list[tuple[AnswerRecord, ClassUid]] = []
        for answer in self.labels():
            uid = self.text.single_class(answer.label) if answer.label else None
            if uid is None:
                raise UsageError(
                    f"the format {format} holds one class per image, and the label of "
                    f"{answer.sample_id} is more than that; export to jsonl or csv instead"
                )
            found.append((answer, uid))
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Parsed:
    """One label as a file states it, not yet looked up in the store."""

    where: str
    """File and place for an error message, made harmless."""
    part: Literal["column", "field"] = "column"
    """What the error message calls a part of it."""
    names: tuple[str, ...]
    """What the sample id may be, likeliest first."""
    labels: tuple[str, ...] = ()
    """What the class name may be, likeliest first; empty for ``cannot_tell`` and ``flag``."""
    class_uid: str | None = None
    kind: Verdict = "label"
    annotator: str | None = None
    provenance: Provenance | None = None
    at: str | None = None
    round: int | None = None
    elapsed_ms: int | None = None
    note: str = ""
    sha256: str | None = None
    """Digest of the image the label was given to, in hex."""


@runtime_checkable
class FileFormat(Protocol):
    """A format that is one file."""

    suffix: str

    def write(self, stream: BinaryIO, job: ExportJob) -> int:
        """Write all labels and return their number."""
        ...

    def read(self, path: Path) -> Iterator[Parsed]:
        """Yield the labels of a file; ``InputDataError`` names the place of what is wrong."""
        ...


@runtime_checkable
class FolderFormat(Protocol):
    """A format that is a folder with images."""

    def fill(self, folder: Path, job: ExportJob) -> int:
        """Write all labels into an empty folder and return their number."""
        ...

    def read(self, path: Path) -> Iterator[Parsed]:
        """Yield the labels of a folder; ``InputDataError`` names the place of what is wrong."""
        ...


class Document:
    """A JSON file read whole, which tells where its parts stand."""

    def __init__(self, path: Path) -> None:
        """Read it.

        Raises:
            InputDataError: Not JSON, too large or too deep; names line and column.
        """
        self.name = show(path.name)
        self._text = _text_of(path)
        self.value: Any = parse_json(self._text, where=self.name)

    def places(self, key: str | None = None) -> Iterator[tuple[int | str, str]]:
        """Yield index or key of each child and its place, as ``FILE, line 3, column 5``.

        Args:
            key: Of the array or object whose children are meant; None means the whole document.
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

    The text is known to be JSON.
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
    """Parse JSON text strictly: no NaN, no endless nesting.

    Args:
        text: One document.
        where: File name, made harmless.
        line: Number of the line, where the text is one line of a file.
    """
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        place = f"line {line or error.lineno}, column {error.colno}"
        raise InputDataError(f"{where}, {place}: {error.msg}") from None
    except (ValueError, RecursionError) as error:
        place = where if line is None else f"{where}, line {line}"
        words = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise InputDataError(f"{place}: {words}") from None


def convert(value: Any, kind: type[_T], *, where: str) -> _T:
    """Check a parsed value against a type; the error names the field."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise InputDataError(f"{where}: {error}") from None
    except UnicodeEncodeError:  # msgspec cannot look up such a key
        raise InputDataError(f"{where}: a key is no Unicode text") from None


def unreadable(path: Path, error: OSError) -> StorageError:
    """Return the error for a file that cannot be read."""
    return StorageError(f"cannot read {path}: {error.strerror or error}")


def with_and_without_suffix(name: str) -> tuple[str, ...]:
    """Return what an exported image's sample id may be.

    An image from an array has no file name of its own, so its export added a suffix.
    """
    bare = os.path.splitext(name)[0]  # noqa: PTH122 - a sample id is no path of this machine
    return (name, bare) if bare != name else (name,)


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no number here")

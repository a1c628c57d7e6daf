"""A CSV or JSONL list of image files with optional labels, splits and ids."""

import csv
import io
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from dgaal_cli.data.sources.base import ContainerSource, Entry, FileBytes, unique
from dgaal_cli.errors import InputDataError
from dgaal_cli.escaping import separator_hint, show
from dgaal_cli.ids import SampleId

COLUMNS = ("file_name", "label", "split", "id", "group")
ROOT_MARK = "root="
"""What follows ``#`` in a SOURCE, before the folder that a manifest's paths are relative to."""
MAX_LINE_BYTES = 2**20
_MAX_TEXT = 4096


class ManifestSource(ContainerSource):
    """Files listed in a manifest; paths are relative to a folder and must stay inside it."""

    def __init__(self, path: Path, *, root: Path | None = None) -> None:
        """Check that the manifest names an image.

        Args:
            path: The manifest.
            root: Folder of the paths; None: the manifest's own.

        Raises:
            InputDataError: The manifest is empty, or its first line is invalid.
        """
        super().__init__(path)
        if root is not None:
            self.spec = f"{path}#{ROOT_MARK}{root}"
        self._folder = (root or path.parent).resolve()
        if next(self.entries(), None) is None:
            raise InputDataError(
                f"the manifest {path} names no images; each line needs a file_name"
            )

    def entries(self) -> Iterator[Entry]:
        """Stream rows in the order of the file.

        Raises:
            InputDataError: A row is invalid; the message gives its line.
        """
        found = ((line, self._entry(row, line)) for line, row in self._rows())
        return unique(found, self._wrong)

    def _rows(self) -> Iterator[tuple[int, dict[str, str]]]:
        try:
            with self._path.open("rb") as stream:
                yield from (
                    self._csv(stream)
                    if self._path.suffix.lower() == ".csv"
                    else self._jsonl(stream)
                )
        except OSError as error:
            raise InputDataError(
                f"cannot read the manifest {self.spec}: {error.strerror}"
            ) from None

    def _csv(self, stream: BinaryIO) -> Iterator[tuple[int, dict[str, str]]]:
        # newline="" preserves line ends inside quotes; undecodable bytes are kept.
        with io.TextIOWrapper(stream, "utf-8-sig", errors="surrogateescape", newline="") as text:
            reader = csv.reader(self._bounded(text), strict=True)
            try:
                header = [name.strip() for name in next(reader, list[str]())]
                if "file_name" not in header:
                    raise self._wrong(1, _no_file_name(header))
                for cells in reader:
                    if cells:
                        yield reader.line_num, self._record(header, cells, reader.line_num)
            except csv.Error as error:
                raise self._wrong(reader.line_num, show(str(error))) from None

    def _record(self, header: list[str], cells: list[str], line: int) -> dict[str, str]:
        if len(cells) != len(header):
            raise self._wrong(line, f"{len(cells)} cells under {len(header)} columns")
        return dict(zip(header, cells, strict=True))

    def _bounded(self, text: io.TextIOWrapper) -> Iterator[str]:
        number = 0
        while line := text.readline(MAX_LINE_BYTES):
            number += 1
            if len(line) == MAX_LINE_BYTES:
                raise self._wrong(number, f"longer than {MAX_LINE_BYTES} characters")
            yield line

    def _jsonl(self, stream: BinaryIO) -> Iterator[tuple[int, dict[str, str]]]:
        number = 0
        while line := stream.readline(MAX_LINE_BYTES):
            number += 1
            if len(line) == MAX_LINE_BYTES:
                raise self._wrong(number, f"longer than {MAX_LINE_BYTES} bytes")
            if number == 1:
                line = line.removeprefix(b"\xef\xbb\xbf")
            if line.strip():
                yield number, self._object(line, number)

    def _object(self, line: bytes, number: int) -> dict[str, str]:
        try:
            # The standard library's parser keeps escapes such as "\\udcff", which represent file
            # names that are not UTF-8.
            value: object = json.loads(line, parse_constant=_refuse_constant)
        except (ValueError, RecursionError) as error:
            raise self._wrong(number, f"not valid JSON: {show(str(error))[:120]}") from None
        if not isinstance(value, dict):
            raise self._wrong(number, "not a JSON object")
        row: dict[str, str] = {}
        for name, cell in cast("dict[str, object]", value).items():
            if name not in COLUMNS or cell is None:
                continue
            if isinstance(cell, bool) or not isinstance(cell, str | int):
                raise self._wrong(number, f"{name} must be a text")
            row[name] = str(cell)
        return row

    def _entry(self, row: dict[str, str], line: int) -> Entry:
        name = row.get("file_name", "")
        if not name:
            raise self._wrong(line, "file_name is empty")
        if not all(map(_is_valid, row.values())):
            raise self._wrong(
                line, f"a text with a NUL, with half a character or over {_MAX_TEXT} long"
            )
        path = self._folder / name
        # Resolve first: "a/../../x" and a symbolic link may lead outside.
        if not path.resolve().is_relative_to(self._folder):
            raise self._wrong(
                line,
                f"{show(name)} is outside the folder {show(str(self._folder))}; for images "
                f"elsewhere write {show(self._path.name)}#{ROOT_MARK}FOLDER",
            )
        return Entry(
            id=SampleId(row.get("id") or name),
            label=row.get("label") or None,
            split=(row.get("split") or "").strip(),
            path=str(path),
            group=(row.get("group") or "").strip(),
            read=FileBytes(str(path)),
        )

    def _wrong(self, line: int, what: str) -> InputDataError:
        return InputDataError(f"{self.spec}, line {line}: {what}; correct it and try again")


def _is_valid(text: str) -> bool:
    try:
        os.fsencode(text)
    except UnicodeEncodeError:  # half of a surrogate pair cannot be in a file name
        return False
    return "\0" not in text and len(text) <= _MAX_TEXT


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not valid JSON")


def _no_file_name(header: list[str]) -> str:
    columns = show(", ".join(header)[:200])
    return f"the header has no column file_name; the columns are {columns}{separator_hint(header)}"

"""ImageFolder: one folder per class, as torchvision, timm, Keras and YOLO read it."""

import os
from collections.abc import Iterator
from json.encoder import encode_basestring_ascii as json_text
from pathlib import Path
from urllib.parse import unquote

import msgspec

from dgaal_cli.errors import InputDataError
from dgaal_cli.escaping import show
from dgaal_cli.store.exchange.base import (
    ExportJob,
    Parsed,
    convert,
    parse_json,
    read_lines,
    with_and_without_suffix,
)
from dgaal_cli.store.exchange.folders import ImagePlacer

MARKS = ".dgaal-labels.jsonl"
"""Hidden file with the mark of each exported label; programs that read class folders skip it.

If images were audited, it also states for each whether it is one of them."""
_MAX_BYTES = 255
"""Of a file name, on the usual file systems."""


class _Exported(msgspec.Struct):
    file_name: str
    exported: str


class ImageFolder:
    """``class/path/of/the/image.png``; class names are percent-encoded where necessary."""

    def fill(self, folder: Path, job: ExportJob) -> int:
        """Put every labeled image into the folder of its class; empty classes have a folder too."""
        count, images = 0, ImagePlacer(job)
        folders = {uid: folder / class_folder(name) for uid, name in job.names.items()}
        for record in job.classes:
            _check_length(folders[record.uid].name, record.name)
            folders[record.uid].mkdir()
        with (folder / MARKS).open("wb") as stream:
            for label, uid in job.class_labels("imagefolder"):
                name = images.place(label, folders[uid])
                mark = job.mark_of(label)
                marks = f'"exported": {json_text(mark)}{job.audited_member(label)}'
                stream.write(f'{{"file_name": {json_text(name)}, {marks}}}\n'.encode())
                count += 1
        return count

    def read(self, path: Path) -> Iterator[Parsed]:
        """Yield the label of each file: the first folder is the class, the rest the sample id."""
        if not path.is_dir():
            raise InputDataError(f"{path} is not a folder of class folders")
        marks = _marks(path / MARKS)
        left = set(marks)
        for folder in sorted(entry for entry in path.iterdir() if entry.is_dir()):
            if folder.name.startswith("."):
                continue
            for file in files_below(folder):
                inside = file.relative_to(folder).as_posix()
                left.discard(inside)
                yield Parsed(
                    where=show(f"{path.name}/{file.relative_to(path).as_posix()}"),
                    # The sample ids of a pool of class folders start with the class folder.
                    names=(
                        *with_and_without_suffix(inside),
                        *with_and_without_suffix(f"{folder.name}/{inside}"),
                    ),
                    labels=tuple(dict.fromkeys((unquote(folder.name), folder.name))),
                    exported=marks.get(inside),
                )
        for name in sorted(left):
            yield Parsed(where=show(path.name), names=(name,), is_cleared=True)


def _marks(path: Path) -> dict[str, str]:
    """Return the mark of each exported file, by its path in the class folder."""
    if not path.is_file():
        return {}
    marks: dict[str, str] = {}
    for number, line in read_lines(path):
        value = parse_json(line, where=path.name, line=number)
        found = convert(value, _Exported, where=f"{path.name}, line {number}")
        marks[found.file_name] = found.exported
    return marks


def class_folder(name: str) -> str:
    """Return a folder name for a class; ``urllib.parse.unquote`` reverses it."""
    safe = name.replace("%", "%25").replace("/", "%2F").replace("\\", "%5C")
    return f"%2E{safe[1:]}" if safe.startswith(".") else safe


def _check_length(folder: str, name: str) -> None:
    if len(os.fsencode(folder)) > _MAX_BYTES:
        raise InputDataError(
            f"the class {name[:40]}... has a name that is too long for a folder; "
            "export to jsonl or csv, or rename the class"
        )


def files_below(folder: Path) -> Iterator[Path]:
    """Yield the files of a folder in a fixed order; hidden files are skipped."""
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            file = Path(root, name)
            if not name.startswith(".") and file.is_file():
                yield file

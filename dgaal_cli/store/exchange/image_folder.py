"""ImageFolder: one folder per class, as torchvision, timm, Keras and YOLO read it."""

import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

from dgaal_cli.errors import InputDataError
from dgaal_cli.escaping import show
from dgaal_cli.store.exchange.base import ExportJob, Parsed, with_and_without_suffix
from dgaal_cli.store.exchange.folders import ImagePlacer


class ImageFolder:
    """``class/path/of/the/image.png``; class names are percent-encoded where necessary."""

    def fill(self, folder: Path, job: ExportJob) -> int:
        """Put every labeled image into the folder of its class; empty classes have a folder too."""
        count, images = 0, ImagePlacer(job)
        folders = {uid: folder / class_folder(name) for uid, name in job.names.items()}
        for record in job.classes:
            folders[record.uid].mkdir()
        for label, uid in job.class_labels("imagefolder"):
            images.place(label, folders[uid])
            count += 1
        return count

    def read(self, path: Path) -> Iterator[Parsed]:
        """Yield the label of each file: the first folder is the class, the rest the sample id."""
        if not path.is_dir():
            raise InputDataError(f"{path} is not a folder of class folders")
        for folder in sorted(entry for entry in path.iterdir() if entry.is_dir()):
            if folder.name.startswith("."):
                continue
            for file in files_below(folder):
                inside = file.relative_to(folder).as_posix()
                yield Parsed(
                    where=show(f"{path.name}/{file.relative_to(path).as_posix()}"),
                    # The sample ids of a pool of class folders start with the class folder.
                    names=(
                        *with_and_without_suffix(inside),
                        *with_and_without_suffix(f"{folder.name}/{inside}"),
                    ),
                    labels=tuple(dict.fromkeys((unquote(folder.name), folder.name))),
                )


def class_folder(name: str) -> str:
    """Return a folder name for a class; ``urllib.parse.unquote`` reverses it."""
    safe = name.replace("%", "%25").replace("/", "%2F").replace("\\", "%5C")
    return f"%2E{safe[1:]}" if safe.startswith(".") else safe


def files_below(folder: Path) -> Iterator[Path]:
    """Yield the files of a folder in a fixed order; hidden files are skipped."""
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            file = Path(root, name)
            if not name.startswith(".") and file.is_file():
                yield file

"""A folder of images, flat or nested; the name of a class folder can be used as label."""

import os
from collections.abc import Iterator
from pathlib import Path

from dgaal_cli.data.decoders.registry import format_names
from dgaal_cli.data.image_names import may_be_image
from dgaal_cli.data.regular_files import kind_of
from dgaal_cli.data.sources.base import Entry, FileBytes, Refusal, Source, gone
from dgaal_cli.data.sources.naming import label_and_split
from dgaal_cli.errors import InputDataError
from dgaal_cli.ids import SampleId


class FolderSource(Source):
    """All files below a folder; links, pipes and devices are listed but never opened."""

    def __init__(self, root: Path) -> None:
        """Check that the folder is not empty, without listing all of a large folder.

        Raises:
            InputDataError: The folder contains no file that could be an image.
        """
        self.spec = os.fspath(root)
        if not _contains_any(self.spec):
            raise InputDataError(
                f"the folder {self.spec} contains no images; "
                f"choose a folder with {format_names()} files (hidden files are ignored)"
            )

    def entries(self) -> Iterator[Entry]:
        """Stream files, sorted by name within each folder."""
        return self._scan(self.spec, "")

    def get(self, sample_id: SampleId) -> Entry:
        path = self.path_of(sample_id)
        if not os.path.lexists(path):
            raise gone(sample_id, self.spec)
        return _entry(path, sample_id)

    def path_of(self, sample_id: SampleId) -> str:
        is_inside = sample_id and sample_id[0] != "/" and "/." not in f"/{sample_id}"
        if not is_inside:
            raise gone(sample_id, self.spec)
        return f"{self.spec}/{sample_id}"

    def _scan(self, folder: str, prefix: str) -> Iterator[Entry]:
        # Folders may have a million names: bytes need a tenth of the memory of directory entries.
        names: list[bytes] = []
        others: dict[bytes, os.DirEntry[str]] = {}
        try:
            with os.scandir(folder) as listing:
                for item in listing:
                    is_file = item.is_file(follow_symlinks=False)
                    if item.name.startswith(".") or (is_file and not may_be_image(item.name)):
                        continue
                    name = os.fsencode(item.name)
                    names.append(name)
                    if not is_file:
                        others[name] = item
        except OSError as error:
            reason = f"folder cannot be read: {(error.strerror or 'i/o error').lower()}"
            yield _entry(folder, prefix.rstrip("/") or ".", Refusal(reason))
            return
        names.sort()
        for raw in names:
            name = os.fsdecode(raw)
            other = others.get(raw)
            if other is None:
                yield _entry(f"{folder}/{name}", prefix + name)
            elif other.is_dir(follow_symlinks=False):
                yield from self._scan(other.path, f"{prefix}{name}/")
            else:
                yield _entry(other.path, prefix + name, Refusal(_special(other)))


def _contains_any(folder: str) -> bool:
    inner: list[str] = []
    try:
        with os.scandir(folder) as listing:
            for item in listing:
                if item.name.startswith("."):
                    continue
                if item.is_dir(follow_symlinks=False):
                    inner.append(item.path)
                elif not item.is_file(follow_symlinks=False) or may_be_image(item.name):
                    return True
    except OSError:
        return True  # ``entries`` lists it with the reason
    return any(map(_contains_any, inner))


def _entry(path: str, name: str, refusal: Refusal | None = None) -> Entry:
    label, split = label_and_split(name)
    # Positional arguments: keywords would double the time of the scan.
    return Entry(SampleId(name), refusal or FileBytes(path), label, split, path)


def _special(item: os.DirEntry[str]) -> str:
    try:
        kind = kind_of(item.stat(follow_symlinks=False).st_mode)
    except OSError:
        kind = "missing"
    if kind == "symbolic link":
        return "symbolic link, not followed"
    return f"not a regular file ({kind})"

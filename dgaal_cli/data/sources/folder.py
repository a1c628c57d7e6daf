"""A folder of images, flat or nested; the name of a class folder can be used as label."""

import contextlib
import os
from collections.abc import Iterator
from functools import cached_property
from itertools import chain
from pathlib import Path

from dgaal_cli.data.decoders.registry import format_names
from dgaal_cli.data.image_names import may_be_image
from dgaal_cli.data.regular_files import kind_of
from dgaal_cli.data.sources.base import Entry, FileBytes, IsKnown, Refusal, Source, gone
from dgaal_cli.data.sources.naming import Layout, is_split, label_and_split
from dgaal_cli.errors import InputDataError
from dgaal_cli.ids import SampleId


class FolderSource(Source):
    """All files below a folder, and the files that symbolic links name, wherever they are.

    Links to folders, pipes and devices are listed but never opened: what a folder elsewhere holds
    is no part of the pool, and links to folders may form a loop.
    """

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

    def entries_except(self, is_known: IsKnown) -> Iterator[Entry]:
        return self._scan(self.spec, "", is_known)

    def get(self, sample_id: SampleId) -> Entry:
        path = self.path_of(sample_id)
        if not os.path.lexists(path):
            raise gone(sample_id, self.spec)
        return self._entry(path, sample_id)

    def path_of(self, sample_id: SampleId) -> str:
        is_inside = sample_id and sample_id[0] != "/" and "/." not in f"/{sample_id}"
        if not is_inside:
            raise gone(sample_id, self.spec)
        return f"{self.spec}/{sample_id}"

    def _scan(self, folder: str, prefix: str, is_known: IsKnown | None = None) -> Iterator[Entry]:
        # Folders may have a million names: bytes need a tenth of the memory of directory entries.
        names: list[bytes] = []
        others: dict[bytes, os.DirEntry[str]] = {}
        try:
            with os.scandir(folder) as listing:
                for item in listing:
                    if is_known is not None and is_known(prefix + item.name, item):
                        continue
                    is_file = _is_file(item)
                    if item.name.startswith(".") or (is_file and not may_be_image(item.name)):
                        continue
                    name = os.fsencode(item.name)
                    names.append(name)
                    if not is_file:
                        others[name] = item
        except OSError as error:
            reason = f"folder cannot be read: {(error.strerror or 'i/o error').lower()}"
            yield self._entry(folder, prefix.rstrip("/") or ".", Refusal(reason))
            return
        names.sort()
        for raw in names:
            name = os.fsdecode(raw)
            other = others.get(raw)
            if other is None:
                yield self._entry(f"{folder}/{name}", prefix + name)
            elif other.is_dir(follow_symlinks=False):
                yield from self._scan(other.path, f"{prefix}{name}/", is_known)
            else:
                yield self._entry(other.path, prefix + name, Refusal(_special(other)))

    def _entry(self, path: str, name: str, refusal: Refusal | None = None) -> Entry:
        # Without a folder there is no label: a large flat folder is not listed for its layout.
        label, split = label_and_split(name, self._layout) if "/" in name else (None, "")
        # Positional arguments: keywords would double the time of the scan.
        return Entry(SampleId(name), refusal or FileBytes(path), label, split, path)

    @cached_property
    def _layout(self) -> Layout:
        """The layout, as ``find_layout`` finds it; few of the folders are listed."""
        top = ""
        while True:
            folders = _image_folders(f"{self.spec}/{top}")
            first = next(folders, "")
            second = next(folders, None)
            is_shared = first and second is None and not is_split(first)
            inner = f"{self.spec}/{top}{first}"
            if not is_shared or _has_images(f"{self.spec}/{top}") or not _is_nested(inner):
                names = chain((first, second or first), folders)
                return Layout(top, bool(first) and all(map(is_split, names)))
            top += f"{first}/"


def _contains_any(folder: str) -> bool:
    inner: list[str] = []
    try:
        with os.scandir(folder) as listing:
            for item in listing:
                if item.name.startswith("."):
                    continue
                if item.is_dir(follow_symlinks=False):
                    inner.append(item.path)
                elif not _is_file(item) or may_be_image(item.name):
                    return True
    except OSError:
        return True  # ``entries`` lists it with the reason
    return any(map(_contains_any, inner))


def _image_folders(folder: str) -> Iterator[str]:
    """Yield the names of the folders directly in a folder that contain images at any depth."""
    with contextlib.suppress(OSError), os.scandir(folder) as listing:
        for item in listing:
            is_folder = not item.name.startswith(".") and item.is_dir(follow_symlinks=False)
            if is_folder and _contains_any(item.path):
                yield item.name


def _has_images(folder: str) -> bool:
    """Return whether a folder itself contains a file that may be an image."""
    with contextlib.suppress(OSError), os.scandir(folder) as listing:
        return any(
            not item.name.startswith(".")
            and not item.is_dir(follow_symlinks=False)
            and (not item.is_file(follow_symlinks=False) or may_be_image(item.name))
            for item in listing
        )
    return False


def _is_nested(folder: str) -> bool:
    return next(_image_folders(folder), None) is not None


def _is_file(item: os.DirEntry[str]) -> bool:
    """Return whether an entry is a regular file or a link to one."""
    try:
        return item.is_file()
    except OSError:  # links that form a loop
        return False


def _special(item: os.DirEntry[str]) -> str:
    if item.is_symlink():
        if os.path.isdir(item.path):  # noqa: PTH112 - False for links that form a loop
            return "symbolic link to a folder, not followed; make a pool of that folder instead"
        return "symbolic link to a file that is missing or not regular"
    try:
        kind = kind_of(item.stat(follow_symlinks=False).st_mode)
    except OSError:
        kind = "missing"
    return f"not a regular file ({kind})"

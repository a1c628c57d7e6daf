"""Link or copy images of folder formats into the folder, with few calls for each image."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from dgaal_cli.errors import InputDataError, StorageError
from dgaal_cli.ids import SampleId
from dgaal_cli.store.exchange.base import ExportJob
from dgaal_cli.store.records import AnswerRecord

_CHUNK = 2**16
# O_NONBLOCK: otherwise opening a pipe without a writer would block.
_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK


class ImagePlacer:
    """Links or copies images of a job; the caller syncs the whole folder at the end."""

    def __init__(self, job: ExportJob) -> None:
        self._job = job
        self._made: set[str] = set()

    def place(self, answer: AnswerRecord, folder: Path, *, name: SampleId | None = None) -> str:
        """Link or copy one image into ``folder``; return its relative path, with forward slashes.

        Args:
            answer: Answer to the image.
            folder: Folder of the export.
            name: Path below ``folder``; None uses the sample id.

        Every image is compared with the one that was labeled: a copy is written from the bytes that
        were compared, and the target of a link is read unless its digest is known.

        Raises:
            InputDataError: The image is missing, has changed, or its name leads out of the folder.
            StorageError: The image cannot be read or hard-linked.
        """
        images, target_name = self._job.images, safe_name(name or answer.sample_id)
        source = images.path(answer.sample_id, is_synthetic=answer.is_synthetic)
        if source is None:  # in an archive or array, so there is no file to link to
            content, suffix = images.content(answer.sample_id, is_synthetic=answer.is_synthetic)
            target_name += suffix
            with open(self._ready(folder, target_name), "wb") as stream:  # noqa: PTH123 - hot
                stream.write(content)
            return target_name
        target = self._ready(folder, target_name)
        if self._job.link == "copy":
            with open(target, "wb") as stream:  # noqa: PTH123 - hot
                stream.writelines(_checked_content(source, answer))
            return target_name
        if images.known_digest(answer.sample_id, source) != answer.sha256:
            for _ in _checked_content(source, answer):
                pass
        if self._job.link == "symlink":
            whole = source if source[0] == "/" else os.path.abspath(source)  # noqa: PTH100 - hot
            os.symlink(whole, target)  # noqa: PTH211 - hot
        else:
            _hardlink(source, target)
        return target_name

    def _ready(self, folder: Path, name: str) -> str:
        """Make the folder of a target; return the target's path."""
        target = f"{folder}/{name}"
        parent = target.rpartition("/")[0]
        if parent not in self._made:
            os.makedirs(parent, exist_ok=True)  # noqa: PTH103 - hot
            self._made.add(parent)
        return target


def _checked_content(path: str, answer: AnswerRecord) -> Iterator[bytes]:
    """Yield the parts of an image's file; after the last one, check that they are the labeled ones.

    Raises:
        InputDataError: The image is missing, or has changed.
        StorageError: The file cannot be read.
    """
    digest = hashlib.sha256()
    try:
        descriptor = os.open(path, _FLAGS)
        try:
            while data := os.read(descriptor, _CHUNK):
                digest.update(data)
                yield data
        finally:
            os.close(descriptor)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        raise InputDataError(
            f"image {answer.sample_id} is missing from the pool; export to jsonl, csv or coco, "
            "which need no files, or put its file back"
        ) from error
    except OSError as error:
        raise StorageError(
            f"cannot read image {answer.sample_id}: {error.strerror or error}; "
            "export to jsonl or csv, or make its file readable"
        ) from error
    if digest.digest() != answer.sha256:
        raise InputDataError(
            f"image {answer.sample_id} has changed since it was labeled; "
            "export to jsonl or csv, or put the old file back"
        )


def safe_name(sample_id: str) -> str:
    """Return a sample id as a relative path.

    Raises:
        InputDataError: The path would lead out of its folder.
    """
    framed = f"/{sample_id}/"  # no part of it may be empty, "." or ".."
    if "//" in framed or "/./" in framed or "/../" in framed or "\0" in framed:
        raise InputDataError(
            f"image {sample_id} cannot be written to a folder under its own name; "
            "export to jsonl or csv instead"
        )
    return sample_id


def _hardlink(source: str, target: str) -> None:
    try:
        # Linux makes a hard link to a symbolic link itself, whatever follow_symlinks says.
        file = os.path.realpath(source) if os.path.islink(source) else source  # noqa: PTH114
        os.link(file, target)
    except OSError as error:
        raise StorageError(
            f"cannot hard-link {source}: {error.strerror or error}; use --link copy"
        ) from error

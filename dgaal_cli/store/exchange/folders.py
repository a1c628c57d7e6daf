"""Link or copy images of folder formats into the folder, with few calls for each image."""

import hashlib
import os
import shutil
from pathlib import Path

from dgaal_cli.errors import InputDataError, StorageError
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

    def place(self, answer: AnswerRecord, folder: Path) -> str:
        """Link or copy one image into ``folder``; return its relative path, with forward slashes.

        Raises:
            InputDataError: The image is missing, has changed, or its name leads out of the folder.
            StorageError: The image cannot be hard-linked.
        """
        images, name = self._job.images, safe_name(answer.sample_id)
        source = images.path(answer.sample_id, is_synthetic=answer.is_synthetic)
        if source is None:  # in an archive or array, so there is no file to link to
            content, suffix = images.content(answer.sample_id, is_synthetic=answer.is_synthetic)
            name += suffix
            with open(self._ready(folder, name), "wb") as stream:  # noqa: PTH123 - hot
                stream.write(content)
            return name
        _check_bytes(source, answer)
        target = self._ready(folder, name)
        if self._job.link == "symlink":
            os.symlink(os.path.abspath(source), target)  # noqa: PTH100, PTH211 - hot
        elif self._job.link == "hardlink":
            _hardlink(source, target)
        else:
            shutil.copyfile(source, target)
        return name

    def _ready(self, folder: Path, name: str) -> str:
        """Make the folder of a target; return the target's path."""
        target = f"{folder}/{name}"
        parent = target.rpartition("/")[0]
        if parent not in self._made:
            os.makedirs(parent, exist_ok=True)  # noqa: PTH103 - hot
            self._made.add(parent)
        return target


def _check_bytes(source: Path, answer: AnswerRecord) -> None:
    try:
        digest = _digest(source)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        raise InputDataError(f"image {answer.sample_id} is missing from the pool") from error
    if digest != answer.sha256:
        raise InputDataError(
            f"image {answer.sample_id} has changed since it was labeled; "
            "export to jsonl or csv, or put the old file back"
        )


def _digest(path: Path) -> bytes:
    digest, descriptor = hashlib.sha256(), os.open(path, _FLAGS)
    try:
        while data := os.read(descriptor, _CHUNK):
            digest.update(data)
    finally:
        os.close(descriptor)
    return digest.digest()


def safe_name(sample_id: str) -> str:
    """Return a sample id as a relative path.

    Raises:
        InputDataError: The path would lead out of its folder.
    """
    if "\x00" in sample_id or any(part in ("", ".", "..") for part in sample_id.split("/")):
        raise InputDataError(
            f"image {sample_id} cannot be written to a folder under its own name; "
            "export to jsonl or csv instead"
        )
    return sample_id


def _hardlink(source: Path, target: str) -> None:
    try:
        os.link(source, target, follow_symlinks=True)
    except OSError as error:
        raise StorageError(
            f"cannot hard-link {source}: {error.strerror or error}; use --link copy"
        ) from error

"""Link or copy images of folder formats into the folder."""

import hashlib
import os
import shutil
from pathlib import Path, PurePosixPath

from dgaal_cli.atomic import sync_file, write_bytes
from dgaal_cli.errors import InputDataError, StorageError
from dgaal_cli.store.exchange.base import ExportJob
from dgaal_cli.store.records import AnswerRecord


def place(answer: AnswerRecord, folder: Path, job: ExportJob) -> str:
    """Link or copy one image into ``folder``; return its relative path, with forward slashes."""
    name = safe_name(answer.sample_id)
    source = job.images.path(answer.sample_id, is_synthetic=answer.is_synthetic)
    if source is None:  # in an archive or array, so there is no file to link to
        content, suffix = job.images.content(answer.sample_id, is_synthetic=answer.is_synthetic)
        name += suffix
        target = _ready(folder / name)
        write_bytes(target, content)
        return name
    _check_bytes(source, answer)
    target = _ready(folder / name)
    if job.link == "symlink":
        target.symlink_to(source.absolute())
    elif job.link == "hardlink":
        _hardlink(source, target)
    else:
        shutil.copyfile(source, target)
        sync_file(target)
    return name


def _check_bytes(source: Path, answer: AnswerRecord) -> None:
    if not source.is_file():
        raise InputDataError(f"image {answer.sample_id} is missing from the pool")
    with source.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").digest()
    if digest != answer.sha256:
        raise InputDataError(
            f"image {answer.sample_id} has changed since it was labeled; "
            "export to jsonl or csv, or put the old file back"
        )


def safe_name(sample_id: str) -> str:
    """Return a sample id as a relative path.

    Raises:
        InputDataError: The path would lead out of its folder.
    """
    parts = sample_id.split("/")
    if "\x00" in sample_id or any(part in ("", ".", "..") for part in parts):
        raise InputDataError(
            f"image {sample_id} cannot be written to a folder under its own name; "
            "export to jsonl or csv instead"
        )
    return str(PurePosixPath(*parts))


def _ready(target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    return target


def _hardlink(source: Path, target: Path) -> None:
    try:
        os.link(source, target, follow_symlinks=True)
    except OSError as error:
        raise StorageError(
            f"cannot hard-link {source}: {error.strerror or error}; use --link copy"
        ) from error

"""Read a model file once, as bytes."""

import os
import stat
from pathlib import Path

from dgaal_cli.errors import ArtifactError, StorageError, UsageError

MAX_BYTES = 2**31 + 2**20
"""Max. size of a model: ONNX is limited to 2 GiB."""


def read_model(path: Path, *, wanted: str, remedy: str) -> bytes:
    """Return the content of a regular file.

    Args:
        path: File to read.
        wanted: What the file should be, for messages: "an exported .onnx file".
        remedy: What to do if it does not exist: "write one with ...".

    Raises:
        UsageError: The file does not exist.
        ArtifactError: It is no regular file, or larger than any model.
        StorageError: It cannot be read.
    """
    try:
        # Without O_NONBLOCK, opening a pipe would block until another process writes.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        with os.fdopen(descriptor, "rb") as stream:
            status = os.fstat(stream.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise ArtifactError(f"{path} is not a regular file; give {wanted}")
            if status.st_size > MAX_BYTES:
                raise ArtifactError(f"{path} is larger than 2 GiB, the limit of ONNX")
            return stream.read()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UsageError(f"the file {path} does not exist; {remedy}") from error
    except IsADirectoryError as error:
        raise ArtifactError(f"{path} is a folder; give {wanted}") from error
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror or error}") from error

"""Negative control of the failing-disk harness: the output is written in place."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from dgaal_cli import atomic
from dgaal_cli.api import labels


@contextmanager
def replacing(path: Path) -> Generator[BinaryIO]:
    """Write in place, as ``atomic.replacing`` must not do."""
    with path.open("wb") as stream:
        yield stream


atomic.replacing = replacing
labels.replacing = replacing

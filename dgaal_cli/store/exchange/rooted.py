"""Names in a file that are relative to another folder than the pool's."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from dgaal_cli.store.exchange.base import Parsed


def relative_to_pool(lines: Iterable[Parsed], *, root: Path, pool: Path) -> Iterator[Parsed]:
    """Yield lines whose names are relative to the pool; outside it they begin with ``..``.

    Args:
        lines: Lines of a file.
        root: Folder that their names are relative to; absolute names are kept.
        pool: Folder of the pool.
    """
    above, below = os.path.realpath(root), os.path.realpath(pool)
    for line in lines:
        paths = [os.path.normpath(os.path.join(above, name)) for name in line.names]  # noqa: PTH118
        names = tuple(_relative(path, below) for path in paths)
        yield msgspec.structs.replace(line, names=tuple(dict.fromkeys(names)))


def _relative(path: str, folder: str) -> str:
    if "\0" in path:  # not a path
        return path
    found = os.path.relpath(path, folder)
    if found.startswith(".."):  # an absolute name may go through a link
        parent, name = os.path.split(path)
        found = os.path.relpath(os.path.join(os.path.realpath(parent), name), folder)  # noqa: PTH118
    return found.replace(os.sep, "/")

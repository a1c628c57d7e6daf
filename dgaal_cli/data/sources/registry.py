"""From the SOURCE text that a user types to the source it means."""

import stat
from collections.abc import Callable
from pathlib import Path

from dgaal_cli.data.files import kind_of
from dgaal_cli.data.sources.base import Source
from dgaal_cli.errors import InputDataError
from dgaal_cli.harmless import show

KINDS = (
    "a folder, an image, a .csv or .jsonl manifest, .npz, .zip, .tar, .parquet, shards such as "
    "pool-{000..127}.tar, builtin:digits or torchvision:CIFAR10"
)


def open_source(spec: str, *, base: Path, download: bool = False) -> Source:
    """Open a pool.

    Args:
        spec: SOURCE as in the command line: a path, or ``kind:name``; ``#split`` at its end
            selects one part. A path that exists is taken literally, ``#`` and all.
        base: Folder that a relative path is relative to.
        download: Whether a source may fetch what it lacks.

    Raises:
        InputDataError: There is no such pool, it is empty, or its kind is unknown.
        MissingExtraError: Reading it needs a package that is not installed.
    """
    whole = _open(spec, base, download=download)
    if whole is not None:
        return whole
    text, mark, split = spec.rpartition("#")
    if mark and text and split:
        from dgaal_cli.data.sources.split import SplitSource

        whole = _open(text, base, download=download)
        if whole is not None:
            return SplitSource(whole, split)
    raise InputDataError(
        f"there is no pool {show(spec)} in {show(str(base))}; name {KINDS}"
        if spec
        else f"the name of the pool is empty; name {KINDS}"
    )


def _open(spec: str, base: Path, *, download: bool) -> Source | None:
    if not spec or "\0" in spec:
        return None
    path = _path(spec, base)
    try:
        status = path.stat()
    except OSError as error:
        if isinstance(error, PermissionError):
            raise InputDataError(
                f"the pool {show(spec)} cannot be opened: {error.strerror}"
            ) from None
        return _open_named(spec)
    if stat.S_ISDIR(status.st_mode):
        from dgaal_cli.data.sources.folder import FolderSource, first_of

        folder = FolderSource(path)
        first_of(folder)
        return folder
    if not stat.S_ISREG(status.st_mode):
        raise InputDataError(
            f"the pool {show(spec)} is neither a file nor a folder but a {kind_of(status.st_mode)}"
        )
    return _open_file(path)


def _path(spec: str, base: Path) -> Path:
    try:
        return base.absolute() / Path(spec).expanduser()
    except RuntimeError:  # no home of that user
        return base.absolute() / spec


def _open_named(spec: str) -> Source | None:
    kind, colon, name = spec.partition(":")
    if spec == "builtin:digits":
        from dgaal_cli.data.sources.digits import DigitsSource

        return DigitsSource()
    if colon and kind == "builtin" and "#" not in name:
        raise InputDataError(f"there is no {show(spec)}; the only built-in pool is builtin:digits")
    return None


def _open_file(path: Path) -> Source:
    for suffixes, opener in _BY_SUFFIX:
        if path.name.lower().endswith(suffixes):
            return opener(path)
    raise InputDataError(f"{show(str(path))} is of a kind that dgaal cannot read; name {KINDS}")


def _manifest(path: Path) -> Source:
    from dgaal_cli.data.sources.manifest import ManifestSource

    return ManifestSource(path)


def _arrays(path: Path) -> Source:
    from dgaal_cli.data.sources.arrays import ArraySource

    return ArraySource(path)


def _single(path: Path) -> Source:
    import os

    from dgaal_cli.data.sources.files import FileListSource

    return FileListSource([os.fsencode(path.name)], base=path.parent, spec=str(path))


_BY_SUFFIX: tuple[tuple[tuple[str, ...], Callable[[Path], Source]], ...] = (
    ((".csv", ".jsonl"), _manifest),
    ((".npz",), _arrays),
    ((".jpg", ".jpeg", ".jfif", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif"), _single),
)

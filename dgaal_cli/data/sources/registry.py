"""Open the source that a SOURCE text describes."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

from dgaal_cli.data.decoders.registry import SUFFIXES
from dgaal_cli.data.regular_files import kind_of
from dgaal_cli.data.sources.base import Source
from dgaal_cli.errors import InputDataError

KINDS = (
    "a folder, an image, a .csv or .jsonl manifest, .npz, .zip, .tar, .parquet, shards such as "
    "pool-{000..127}.tar, builtin:digits or torchvision:CIFAR10"
)


def open_source(spec: str, *, base: Path, download: bool = False) -> Source:
    """Open a pool.

    Args:
        spec: SOURCE as on the command line: a path, or ``kind:name``. ``#split`` at the end selects
            one split. A path that exists is used literally, even with ``#``.
        base: Folder that a relative path is relative to.
        download: Whether a source may download missing files.

    Raises:
        InputDataError: The pool does not exist, is empty, or its kind is unknown.
        MissingExtraError: Reading it needs a package that is not installed.
    """
    source = _open(spec, base, download=download)
    if source is not None:
        return source
    text, mark, split = spec.rpartition("#")
    if mark and text and split:
        from dgaal_cli.data.sources.split import SplitSource

        source = _open(text, base, download=download)
        if source is not None:
            return SplitSource(source, split)
    raise InputDataError(
        f"the pool {spec} does not exist in {base}; use {KINDS}"
        if spec
        else f"the name of the pool is empty; use {KINDS}"
    )


def _open(spec: str, base: Path, *, download: bool) -> Source | None:
    if not spec or "\0" in spec:
        return None
    path = _path(spec, base)
    try:
        status = path.stat()
    except PermissionError as error:
        raise InputDataError(f"the pool {spec} cannot be opened: {error.strerror}") from None
    except OSError:
        return _open_named(spec, base, download=download)
    if stat.S_ISDIR(status.st_mode):
        return _folder(path)
    if not stat.S_ISREG(status.st_mode):
        raise InputDataError(
            f"the pool {spec} is not a file or folder, but a {kind_of(status.st_mode)}"
        )
    for suffixes, opener in _BY_SUFFIX:
        if path.name.lower().endswith(suffixes):
            return opener(path)
    raise InputDataError(f"{path} has a type that dgaal cannot read; use {KINDS}")


def _path(spec: str, base: Path) -> Path:
    try:
        return base.absolute() / Path(spec).expanduser()
    except RuntimeError:  # this user has no home folder
        return base.absolute() / spec


def _open_named(spec: str, base: Path, *, download: bool) -> Source | None:
    kind, colon, name = spec.partition(":")
    if spec == "builtin:digits":
        from dgaal_cli.data.sources.digits import DigitsSource

        return DigitsSource()
    if colon and kind == "builtin" and "#" not in name:
        raise InputDataError(f"{spec} does not exist; the only one is builtin:digits")
    if colon and kind == "torchvision" and "#" not in name:
        return _torchvision(name, base, download=download)
    return _shards(spec, base)


def _torchvision(name: str, base: Path, *, download: bool) -> Source:
    from dgaal_cli.data.sources.torchvision_sets import TorchvisionSource, default_root

    name, _, folder = name.partition(":")
    root = _path(folder, base) if folder else default_root()
    return TorchvisionSource(name, root, download=download)


def _shards(spec: str, base: Path) -> Source | None:
    from dgaal_cli.data.sources.tar_archive import ShardSource, expand_braces

    paths = [_path(name, base) for name in expand_braces(spec)]
    if not paths or not spec.lower().endswith(_TAR_SUFFIXES):
        return None
    missing = [path for path in paths if not path.is_file()]
    if len(missing) == len(paths):
        return None
    if missing:
        raise InputDataError(
            f"{len(missing)} of the {len(paths)} shards {spec} are missing, the first is "
            f"{missing[0].name}; give only existing shards"
        )
    return ShardSource(str(_path(spec, base)), paths)


def _folder(path: Path) -> Source:
    from dgaal_cli.data.sources.folder import FolderSource, check_not_empty

    folder = FolderSource(path)
    check_not_empty(folder)
    return folder


def _manifest(path: Path) -> Source:
    from dgaal_cli.data.sources.manifest import ManifestSource

    return ManifestSource(path)


def _arrays(path: Path) -> Source:
    from dgaal_cli.data.sources.arrays import ArraySource
    from dgaal_cli.data.sources.packed_jpeg import PackedJpegSource, holds_packed_jpeg

    return PackedJpegSource(path) if holds_packed_jpeg(path) else ArraySource(path)


def _zip(path: Path) -> Source:
    from dgaal_cli.data.sources.zip_archive import ZipSource

    return ZipSource(path)


def _tar(path: Path) -> Source:
    from dgaal_cli.data.sources.tar_archive import TarSource

    return TarSource(path)


def _parquet(path: Path) -> Source:
    from dgaal_cli.data.sources.parquet import ParquetSource

    return ParquetSource(path)


def _single(path: Path) -> Source:
    from dgaal_cli.data.sources.files import FileListSource

    return FileListSource([os.fsencode(path.name)], base=path.parent, spec=str(path))


_TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz")
_BY_SUFFIX: tuple[tuple[tuple[str, ...], Callable[[Path], Source]], ...] = (
    ((".csv", ".jsonl"), _manifest),
    ((".npz",), _arrays),
    ((".zip",), _zip),
    (_TAR_SUFFIXES, _tar),
    ((".parquet",), _parquet),
    (SUFFIXES, _single),
)

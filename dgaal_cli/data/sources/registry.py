"""Open the source that a SOURCE text describes."""

import stat
from collections.abc import Callable
from importlib import import_module
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
            one split, ``#pages=each`` and ``#pages=max`` state how files with several pages are
            read, ``#root=DIR`` the folder of a manifest's paths. A path that exists is used
            literally, even with ``#``.
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
    if mark and text and split.startswith("pages="):
        from dgaal_cli.data.sources.pages import MARK, PagedSource

        return PagedSource(
            open_source(text, base=base, download=download), split.removeprefix(MARK)
        )
    if mark and text and split.startswith("root="):
        return _rooted_manifest(spec, text, split.removeprefix("root="), base)
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


def _rooted_manifest(spec: str, text: str, root: str, base: Path) -> Source:
    from dgaal_cli.data.sources.manifest import ManifestSource

    path, folder = _path(text, base), Path(root).expanduser()
    if not path.name.lower().endswith(_MANIFESTS) or not path.is_file():
        raise InputDataError(f"the pool {spec} is no manifest; #root= is for .csv and .jsonl files")
    if not (folder.is_absolute() and folder.is_dir()):
        raise InputDataError(
            f"the pool {spec} has no folder {root}; write an absolute path after #root="
        )
    return ManifestSource(path, root=folder)


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
        return _opener("folder:FolderSource")(path)
    if not stat.S_ISREG(status.st_mode):
        raise InputDataError(
            f"the pool {spec} is not a file or folder, but a {kind_of(status.st_mode)}"
        )
    for suffixes, target in _BY_SUFFIX:
        if path.name.lower().endswith(suffixes):
            return _opener(target)(path)
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


def _opener(target: str) -> Callable[[Path], Source]:
    module, _, name = target.partition(":")
    return getattr(import_module(f"dgaal_cli.data.sources.{module}"), name)


_MANIFESTS = (".csv", ".jsonl")
_TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz")
_BY_SUFFIX = (
    (_MANIFESTS, "manifest:ManifestSource"),
    ((".npz",), "packed_jpeg:open_arrays"),
    ((".zip",), "zip_archive:ZipSource"),
    (_TAR_SUFFIXES, "tar_archive:TarSource"),
    ((".parquet",), "parquet:ParquetSource"),
    (SUFFIXES, "files:open_file"),
)
"""Suffixes to ``module:opener``; modules are imported on use."""

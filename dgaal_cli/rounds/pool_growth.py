"""A short look for new files in the pool, which takes the same time for every size of the pool."""

import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path

from dgaal_cli.config.schema import Config
from dgaal_cli.data.image_names import may_be_image
from dgaal_cli.data.pool_folders import noted_folders, save_folders
from dgaal_cli.data.presence import folder_of
from dgaal_cli.ids import SampleId
from dgaal_cli.store.protocol import Store
from dgaal_cli.workspace import Workspace

_MAX_NAMES = 5000
"""Names that are looked up; a large folder is not listed to its end."""
_BATCH = 500


def note_folders(
    workspace: Workspace, config: Config, names: Iterable[SampleId], *, began_ns: int
) -> None:
    """Note the times of the pool's folders after all their files were compared with the store.

    Args:
        workspace: Workspace of the pool.
        config: Configuration of the workspace.
        names: Names of all files of the pool.
        began_ns: Time before the files were listed.
    """
    spec = config.pool.source
    pool = folder_of(workspace.root, spec)
    if pool is None:  # one file: that it is written again later is all that can be noticed
        names, began_ns = (), sys.maxsize
    path = pool or _path(workspace, spec)
    save_folders(workspace.cache_path, path, names, began_ns=began_ns)


def are_folders_noted(workspace: Workspace, config: Config) -> bool:
    """Return whether no folder of the pool has changed since ``note_folders``."""
    spec = config.pool.source
    path = folder_of(workspace.root, spec) or _path(workspace, spec)
    noted = noted_folders(workspace.cache_path, path)
    return bool(noted) and not any(noted.values())


def growth_notice(workspace: Workspace, config: Config, store: Store) -> str:
    """Return a sentence about new files in the pool; empty if none was noticed.

    Only folders that changed since the pool was read are listed, and not more than some thousand
    names of them.
    """
    spec = config.pool.source
    pool = folder_of(workspace.root, spec)
    if pool is None:
        path = _path(workspace, spec)
        is_changed = path.is_file() and any(noted_folders(workspace.cache_path, path).values())
        return (
            f"the pool {spec} was written since it was read; 'dgaal pool status' shows what changed"
            if is_changed
            else ""
        )
    names = islice(_names(pool, noted_folders(workspace.cache_path, pool)), _MAX_NAMES + 1)
    looked = 0
    while batch := list(islice(names, _BATCH)):
        looked += len(batch)
        if new := _unknown(store, batch):
            return f"new files lie in the pool, for example {new}; 'dgaal pool update' adds them"
    if looked > _MAX_NAMES:
        return "the folders of the pool changed; 'dgaal pool status' shows whether files are new"
    return ""


def _path(workspace: Workspace, spec: str) -> Path:
    return workspace.root / os.path.expanduser(spec)  # noqa: PTH111 - "~nobody" is valid


def _names(pool: Path, folders: Mapping[str, bool]) -> Iterator[SampleId]:
    """Yield what changed folders and new ones contain: names of images, and "" for all else."""
    listed = [name for name, is_changed in folders.items() if is_changed]
    while listed:
        folder = listed.pop()
        try:
            with os.scandir(pool / folder) as listing:
                for item in listing:
                    name = f"{folder}/{item.name}" if folder else item.name
                    is_hidden = item.name.startswith(".")
                    if not is_hidden and item.is_dir(follow_symlinks=False):
                        listed += () if name in folders else (name,)
                    is_image = not is_hidden and _is_file(item) and may_be_image(item.name)
                    yield SampleId(name if is_image else "")
        except OSError:
            continue


def _is_file(item: "os.DirEntry[str]") -> bool:
    if item.is_symlink():
        return os.path.isfile(item.path)  # noqa: PTH113 - False for links that form a loop
    return item.is_file()


def _unknown(store: Store, names: list[SampleId]) -> SampleId | None:
    """Return a name that the store has neither as an image nor as an unreadable file."""
    known = store.items_by_sample(names)
    unknown = [name for name in names if name and name not in known]
    if not unknown:
        return None
    unreadable = {name for name, _ in store.quarantined()}
    return next((name for name in unknown if name not in unreadable), None)

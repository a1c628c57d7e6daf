"""Find a workspace, name its files, and lock it."""

import contextlib
import errno
import fcntl
import os
import stat
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dgaal_cli.errors import BusyError, StorageError, UsageError
from dgaal_cli.escaping import show

CONFIG_NAME = "dgaal.toml"
NOTE_BYTES = 200
"""Maximum size of the note in a lock file that names its holder."""


@dataclass(frozen=True, slots=True)
class Workspace:
    """Paths and locks of a folder with a ``dgaal.toml``; does not open its files."""

    root: Path

    @property
    def config_path(self) -> Path:
        """Configuration, edited by the user."""
        return self.root / CONFIG_NAME

    @property
    def store_path(self) -> Path:
        """Label store if ``dgaal.toml`` names no other."""
        return self.root / "labels.db"

    @property
    def rounds_path(self) -> Path:
        """One folder per round."""
        return self.root / "rounds"

    @property
    def artifacts_path(self) -> Path:
        """Exported models with manifest, model card and checksums."""
        return self.root / "artifacts"

    @property
    def cache_path(self) -> Path:
        """Decoded pixels; computed again if missing or outdated."""
        return self.root / "cache"

    @property
    def report_path(self) -> Path:
        """Page and pictures of ``dgaal report``."""
        return self.root / "report"

    def round_path(self, number: int) -> Path:
        """Return the folder of one round's record, checkpoint, query and plots."""
        return self.rounds_path / f"{number:03d}"

    @contextmanager
    def lock(self, name: str, *, doing: str) -> Generator[None]:
        """Hold one of the workspace's named locks; the kernel releases it if the process dies.

        Args:
            name: Name of the lock: ``train`` to write rounds and artifacts, ``label-NAME`` for one
                annotator's terminal.
            doing: What this process does, for the error message of another process.

        Raises:
            BusyError: Another process holds the lock; the message names the process.
        """
        descriptor = open_lock(self.root, name)
        try:
            _acquire(descriptor)
            while not _is_current(descriptor, lock_path(self.root, name)):  # removed by its holder
                os.close(descriptor)
                descriptor = open_lock(self.root, name)
                _acquire(descriptor)
            with contextlib.suppress(OSError):  # only for error messages of other processes
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, holder_note(doing), 0)
            try:
                yield
            finally:
                with contextlib.suppress(OSError):  # the next holder is not this process
                    os.ftruncate(descriptor, 0)
        finally:
            os.close(descriptor)


def find_workspace(start: Path, *, is_named: bool = False) -> Workspace:
    """Find the workspace like git: ``start`` or its nearest parent with a ``dgaal.toml``.

    Args:
        start: First folder to check.
        is_named: The user gave this folder with ``-C``; parents are not checked.

    Raises:
        UsageError: No workspace was found; the message names ``dgaal init`` and ``dgaal demo``.
    """
    start = start.absolute()
    for folder in (start,) if is_named else (start, *start.parents):
        if (folder / CONFIG_NAME).is_file():
            return Workspace(folder)
    problem = f"{show(str(start))} is not a workspace" if is_named else "no workspace here"
    raise UsageError(
        f"{problem} (no {CONFIG_NAME}); create one with 'dgaal init --pool SOURCE', "
        "or see the whole loop with 'dgaal demo'"
    )


def open_workspace(folder: str | Path) -> Workspace:
    """Return the workspace in a folder; for notebooks and scripts.

    Args:
        folder: Folder with ``dgaal.toml``.

    Raises:
        UsageError: The folder is not a workspace.
    """
    return find_workspace(Path(folder), is_named=True)


def keep_private(root: Path) -> None:
    """Make new files of this process private; in a setgid folder, the group may use them too."""
    folder = next(path for path in (root, *root.absolute().parents) if path.exists())
    os.umask(0o007 if folder.stat().st_mode & stat.S_ISGID else 0o077)


def private_mode(folder: Path) -> int:
    """Return the mode of a private file in a folder; in a setgid folder, the group may write."""
    return 0o660 if folder.stat().st_mode & stat.S_ISGID else 0o600


def lock_path(root: Path, name: str) -> Path:
    """Return the path of a lock file."""
    return root / ".locks" / f"{name}.lock"


def holder_note(doing: str) -> bytes:
    """Return the content of a lock file that this process holds, at most ``NOTE_BYTES``."""
    return f"process {os.getpid()} ({doing})".encode()[:NOTE_BYTES]


def open_lock(root: Path, name: str) -> int:
    """Return the descriptor of a lock file, which is created if missing.

    Raises:
        StorageError: The file cannot be created.
    """
    path = lock_path(root, name)
    try:
        path.parent.mkdir(exist_ok=True)
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise StorageError(
            f"cannot write in {root}: {error.strerror}; check the folder's permission and the disk"
        ) from error


def _is_current(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _acquire(descriptor: int) -> None:
    # One short retry: the previous holder may be just about to release the lock.
    for attempt in (0, 1):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                raise
            if attempt == 0:
                time.sleep(0.05)
        else:
            return
    holder = ""
    with contextlib.suppress(OSError):
        holder = show(os.pread(descriptor, NOTE_BYTES, 0)).strip()
    raise BusyError(
        f"this workspace is in use by {holder or 'another process'}; "
        "wait for it or stop it, then try again"
    )

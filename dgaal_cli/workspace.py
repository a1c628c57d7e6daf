"""Names of the files in a workspace folder, how one is found, and its locks."""

import contextlib
import errno
import fcntl
import os
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dgaal_cli.errors import BusyError, StorageError, UsageError
from dgaal_cli.escaping import show

CONFIG_NAME = "dgaal.toml"


@dataclass(frozen=True, slots=True)
class Workspace:
    """A folder that holds ``dgaal.toml``; knows where everything lies, opens nothing."""

    root: Path

    @property
    def config_path(self) -> Path:
        """What a person edits."""
        return self.root / CONFIG_NAME

    @property
    def store_path(self) -> Path:
        """SQLite: samples, queries, append-only label events (the truth)."""
        return self.root / "labels.db"

    @property
    def rounds_path(self) -> Path:
        """One folder a round."""
        return self.root / "rounds"

    @property
    def artifacts_path(self) -> Path:
        """Exported models, their manifest, card and checksums."""
        return self.root / "artifacts"

    @property
    def cache_path(self) -> Path:
        """Decoded pixels; rebuilt whenever it is missing or stale."""
        return self.root / "cache"

    def round_path(self, number: int) -> Path:
        """Folder of one round's run record, checkpoint, query and plots."""
        return self.rounds_path / f"{number:03d}"

    @contextmanager
    def lock(self, name: str, *, doing: str) -> Generator[None]:
        """Hold one of the workspace's named locks; the kernel frees it when the process dies.

        Args:
            name: Which lock: ``train`` for whoever writes rounds and artifacts,
                ``label-NAME`` for one annotator's terminal.
            doing: What this process is about to do, for the other one's message.

        Raises:
            BusyError: Another process holds it; the message names the process.
        """
        folder = self.root / ".locks"
        try:
            folder.mkdir(exist_ok=True)
            descriptor = os.open(folder / f"{name}.lock", os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise StorageError(
                f"cannot write in {self.root}: {error.strerror}; "
                "check the folder's permission and the disk"
            ) from error
        try:
            _acquire(descriptor)
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"process {os.getpid()} ({doing})".encode(), 0)
            yield
        finally:
            os.close(descriptor)


def find_workspace(start: Path, *, is_named: bool = False) -> Workspace:
    """Find the workspace as git does: ``start`` or its nearest parent with a ``dgaal.toml``.

    Args:
        start: Folder to begin at.
        is_named: The user gave this very folder with ``-C``; parents are not searched.

    Raises:
        UsageError: There is none; the message names ``dgaal init`` and ``dgaal demo``.
    """
    start = start.absolute()
    for folder in (start,) if is_named else (start, *start.parents):
        if (folder / CONFIG_NAME).is_file():
            return Workspace(folder)
    where = f"{show(str(start))} is no workspace" if is_named else "no workspace here"
    raise UsageError(
        f"{where} (no {CONFIG_NAME}); make one with 'dgaal init --pool SOURCE', "
        "or see the whole loop with 'dgaal demo'"
    )


def open_workspace(folder: str | Path) -> Workspace:
    """Return the workspace at a folder; for notebooks and scripts.

    Args:
        folder: Where ``dgaal.toml`` lies.

    Raises:
        UsageError: There is none.
    """
    return find_workspace(Path(folder), is_named=True)


def _acquire(descriptor: int) -> None:
    # A reader of the holder's name may race with its writer, so one short retry covers hand-over.
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
        holder = show(os.pread(descriptor, 200, 0))
    raise BusyError(
        f"this workspace is in use by {holder or 'another process'}; "
        "wait for it or stop it, then try again"
    )

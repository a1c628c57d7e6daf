"""Detect network file systems, on which SQLite's locks are not reliable."""

import os
from pathlib import Path

_REMOTE = {
    *("9p", "afs", "beegfs", "ceph", "cifs", "glusterfs", "gpfs"),
    *("lustre", "ncpfs", "nfs", "nfs4", "smb3", "smbfs"),
}
_LOCAL_FUSE = frozenset(["fuse.fuse-overlayfs", "fuse.ntfs-3g", "fuse.bindfs", "fuse.mergerfs"])


def network_filesystem(path: Path) -> str | None:
    """Return the type of the network file system of ``path``, or None if it is local.

    Works on Linux only (``/proc/self/mountinfo``); returns None on other systems.
    """
    try:
        lines = Path("/proc/self/mountinfo").read_bytes().splitlines()
    except OSError:
        return None
    target = os.fsencode(path.absolute().resolve())
    best, kind = b"", ""
    for line in lines:
        head, _, tail = line.partition(b" - ")
        fields = head.split(b" ")
        if len(fields) < 5 or not tail:
            continue
        mount = fields[4].decode("unicode_escape", "replace").encode("latin-1", "replace")
        if _contains(mount, target) and len(mount) >= len(best):
            best, kind = mount, tail.split(b" ")[0].decode("ascii", "replace")
    return kind if is_remote(kind) else None


def is_remote(kind: str) -> bool:
    """Check whether a file system type may be remote; unknown FUSE types count as remote."""
    if kind in _LOCAL_FUSE:
        return False
    return kind in _REMOTE or kind == "fuse" or kind.startswith("fuse.")


def _contains(mount: bytes, target: bytes) -> bool:
    return target == mount or target.startswith(mount.rstrip(b"/") + b"/")

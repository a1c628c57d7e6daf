"""Detection of remote file systems from the kernel's mount table."""

from pathlib import Path

import pytest

from dgaal_cli.store.sqlite import filesystem
from dgaal_cli.store.sqlite.filesystem import is_remote, network_filesystem

TABLE = rb"""22 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
40 22 0:40 / /home rw shared:2 - nfs4 host:/home rw,vers=4.2
41 40 0:41 / /home/my\040disk rw - btrfs /dev/vdb rw
42 22 0:42 / /mnt/s rw - fuse.sshfs me@host: rw
43 22 0:43 / /mnt/ntfs rw - fuseblk /dev/sdb1 rw
damaged line
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/work", None),
        ("/home/sam/work", "nfs4"),
        ("/homestead", None),
        ("/home/my disk/work", None),
        ("/mnt/s/a/b", "fuse.sshfs"),
        ("/mnt/ntfs/a", None),
    ],
)
def test_network_filesystem_uses_the_innermost_mount(monkeypatch, path, kind):
    monkeypatch.setattr(Path, "read_bytes", lambda _: TABLE)
    assert network_filesystem(Path(path)) == kind


@pytest.mark.parametrize(
    "kind", ["nfs", "cifs", "smb3", "9p", "lustre", "gpfs", "afs", "fuse.s3fs", "fuse.unheard-of"]
)
def test_is_remote_accepts_network_file_systems(kind):
    assert is_remote(kind)


@pytest.mark.parametrize(
    "kind", ["ext4", "xfs", "btrfs", "zfs", "tmpfs", "overlay", "fuseblk", "fuse.fuse-overlayfs"]
)
def test_is_remote_refuses_local_file_systems(kind):
    assert not is_remote(kind)


def test_network_filesystem_is_none_without_a_mount_table(monkeypatch):
    def fail(_: Path) -> bytes:
        raise FileNotFoundError

    monkeypatch.setattr(filesystem.Path, "read_bytes", fail)
    assert network_filesystem(Path("/work")) is None

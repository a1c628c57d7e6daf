"""The old or the new file, never a part of one."""

import errno
import os

import pytest

from dgaal_cli import atomic
from dgaal_cli.errors import StorageError


def test_a_file_is_replaced(tmp_path):
    path = tmp_path / "a.txt"
    atomic.write_text(path, "old")
    atomic.write_text(path, "new ü")
    assert path.read_text("utf-8") == "new ü"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.parametrize("call", ["write", "fsync", "replace"])
def test_a_full_disk_leaves_the_old_file_and_no_other(tmp_path, monkeypatch, call):
    path = tmp_path / "a.txt"
    atomic.write_text(path, "old")

    def fail(*_args, **_kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    if call == "write":
        monkeypatch.setattr(atomic, "_exclusive", fail)
    else:
        monkeypatch.setattr(os, call, fail)
    with pytest.raises(StorageError, match="No space left") as failed:
        atomic.write_text(path, "new")
    monkeypatch.undo()
    assert failed.value.exit_code == 8
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_an_error_in_the_block_keeps_the_old_file(tmp_path):
    path = tmp_path / "a.bin"
    atomic.write_bytes(path, b"old")

    def write_half() -> None:
        with atomic.replacing(path) as stream:
            stream.write(b"half")
            raise ValueError("half")

    with pytest.raises(ValueError, match="half"):
        write_half()
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.bin"]


def test_a_missing_folder_is_a_storage_error(tmp_path):
    with pytest.raises(StorageError, match="cannot write"):
        atomic.write_text(tmp_path / "absent" / "a.txt", "x")

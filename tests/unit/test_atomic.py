"""Atomic writes: a reader sees the old or the new file, never a part of it."""

import ctypes
import errno
import os
from pathlib import Path

import pytest

from dgaal_cli import atomic
from dgaal_cli.atomic import assembling
from dgaal_cli.errors import StorageError


def test_write_text_replaces_file(tmp_path):
    path = tmp_path / "a.txt"
    atomic.write_text(path, "old")
    atomic.write_text(path, "new ü")
    assert path.read_text("utf-8") == "new ü"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.parametrize("call", ["write", "fsync", "replace"])
def test_full_disk_keeps_old_file_and_no_temporary_file(tmp_path, monkeypatch, call):
    path = tmp_path / "a.txt"
    atomic.write_text(path, "old")

    def fail(*_args, **_kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    if call == "write":
        monkeypatch.setattr(Path, "open", fail)
    else:
        monkeypatch.setattr(os, call, fail)
    with pytest.raises(StorageError, match="No space left") as failed:
        atomic.write_text(path, "new")
    monkeypatch.undo()
    assert failed.value.exit_code == 8
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_error_in_with_block_keeps_old_file(tmp_path):
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


def test_write_into_missing_folder_raises_storage_error(tmp_path):
    with pytest.raises(StorageError, match="cannot write"):
        atomic.write_text(tmp_path / "absent" / "a.txt", "x")


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("failing_call", [0, 1, 2])
@pytest.mark.parametrize("call", ["replace", "link", "fsync"])
def test_write_together_replaces_all_files_or_none(tmp_path, monkeypatch, call, failing_call):
    old = {"a": b"old a", "b": b"old b"}
    new = {"a": b"new a", "new": b"new", "b": b"new b"}
    for name, data in old.items():
        (tmp_path / name).write_bytes(data)
    original, calls = getattr(os, call), []

    def fail(*arguments, **options):
        calls.append(arguments)
        if len(calls) == failing_call + 1:
            raise OSError(errno.EIO, "Input/output error")
        return original(*arguments, **options)

    monkeypatch.setattr(os, call, fail)
    if len(new) > failing_call and (call != "link" or failing_call < 2):
        with pytest.raises(StorageError, match="Input/output error"):
            atomic.write_together(tmp_path, new)
        assert contents(tmp_path) == old
    monkeypatch.undo()
    atomic.write_together(tmp_path, new)
    assert contents(tmp_path) == new


def test_failed_folder_sync_reports_that_new_content_is_written(tmp_path, monkeypatch):
    def fail(_folder):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(atomic, "sync_folder", fail)
    with pytest.raises(StorageError, match="has the new content, but the disk did not confirm"):
        atomic.write_bytes(tmp_path / "a", b"new")
    assert contents(tmp_path) == {"a": b"new"}


@pytest.mark.parametrize("name", ["x" * 255, "\U0001f600" * 63, "\u56f3" * 85])
def test_longest_file_names_can_be_written(tmp_path, name):
    atomic.write_bytes(tmp_path / name, b"new")
    assert contents(tmp_path) == {name: b"new"}


def make_folder(target):
    with assembling(target) as folder:
        (folder / "inner").mkdir()
        (folder / "inner/a").write_bytes(b"1")
        (folder / "inner/missing").symlink_to("nowhere")


@pytest.mark.parametrize("has_call", [True, False])
def test_folder_that_cannot_be_synced_is_not_kept(tmp_path, monkeypatch, has_call):
    def fail(_descriptor):
        ctypes.set_errno(errno.ENOSPC)
        if has_call:
            return -1
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(atomic, "_SYNC_FILE_SYSTEM", fail if has_call else None)
    if not has_call:
        monkeypatch.setattr(os, "fsync", fail)
    target = tmp_path / "made"
    with pytest.raises(StorageError, match="No space left"):
        make_folder(target)
    assert list(tmp_path.iterdir()) == []


def test_folder_is_synced_without_the_call_for_file_systems(tmp_path, monkeypatch):
    synced, real = [], os.fsync
    monkeypatch.setattr(atomic, "_SYNC_FILE_SYSTEM", None)
    monkeypatch.setattr(os, "fsync", lambda fd: (synced.append(os.fstat(fd).st_ino), real(fd)))
    make_folder(tmp_path / "made")
    made = [tmp_path, tmp_path / "made", tmp_path / "made/inner", tmp_path / "made/inner/a"]
    assert {path.stat().st_ino for path in made} <= set(synced)

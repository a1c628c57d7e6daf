"""Folders and file lists: which files are images, their order, and files that are not opened."""

import io
import os
import socket
import tempfile
from pathlib import Path

import pytest
from sample_images import png

from dgaal_cli.data.sources import Entry, FileBytes, open_source
from dgaal_cli.data.sources.files import FileListSource, open_list, read_names
from dgaal_cli.data.unreadable import UnreadableImageError
from dgaal_cli.errors import InputDataError
from dgaal_cli.ids import SampleId


def put(root: Path, *names: str | bytes) -> None:
    for name in names:
        path = root / os.fsdecode(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(1))


def listed(root: Path) -> dict[str, Entry]:
    return {entry.id: entry for entry in open_source(str(root), base=Path("/")).entries()}


def test_entries_are_sorted_within_each_folder(tmp_path: Path) -> None:
    put(tmp_path, "b.png", "a/2.png", "a/1.png", "a/10.png", "c/z/1.png", "B.png")
    assert list(listed(tmp_path)) == [
        "B.png",
        "a/1.png",
        "a/10.png",
        "a/2.png",
        "b.png",
        "c/z/1.png",
    ]


def test_hidden_and_text_files_are_ignored(tmp_path: Path) -> None:
    put(tmp_path, "a.png", ".hidden.png", ".cache/b.png", "notes.txt", "labels.CSV", "no_suffix")
    assert list(listed(tmp_path)) == ["a.png", "no_suffix"]


def test_first_folder_is_the_label_unless_all_are_splits(tmp_path: Path) -> None:
    put(tmp_path / "a", "flat.png", "cat/1.png", "cat/deep/2.png", "train/dog/3.png")
    put(tmp_path / "b", "flat.png", "train/dog/3.png", "Test/4.png")
    found = {name: (entry.label, entry.split) for name, entry in listed(tmp_path / "a").items()}
    assert found == {
        "flat.png": (None, ""),
        "cat/1.png": ("cat", ""),
        "cat/deep/2.png": ("cat", ""),
        "train/dog/3.png": ("train", ""),
    }
    found = {name: (entry.label, entry.split) for name, entry in listed(tmp_path / "b").items()}
    assert found == {
        "flat.png": (None, ""),
        "train/dog/3.png": ("dog", "train"),
        "Test/4.png": (None, "test"),
    }


@pytest.mark.parametrize(
    "name",
    [
        b"\xff\xfe.png",
        b"\x1b]52;c;ZXZpbA==\x07.png",
        b"a\nb.png",
        b"[/x].png",
        b"=cmd.png",
        b"x" * 251 + b".png",
    ],
)
def test_file_names_of_any_bytes_are_kept_and_read(tmp_path: Path, name: bytes) -> None:
    put(tmp_path, name)
    source = open_source(str(tmp_path), base=tmp_path)
    (entry,) = source.entries()
    assert os.fsencode(entry.id) == name
    assert entry.read() == png(1)
    assert source.get(entry.id).read() == png(1)


def test_links_to_files_are_read_wherever_the_files_are(tmp_path: Path) -> None:
    put(tmp_path / "pool", "cat/real.png")
    put(tmp_path / "store", "0f3a", "notes.txt")
    (tmp_path / "pool/cat/away.png").symlink_to(tmp_path / "store/0f3a")
    (tmp_path / "pool/cat/near").symlink_to("real.png")
    (tmp_path / "pool/cat/twice.png").symlink_to("near")
    (tmp_path / "pool/cat/notes.txt").symlink_to(tmp_path / "store/notes.txt")
    entries = listed(tmp_path / "pool")
    assert list(entries) == ["cat/away.png", "cat/near", "cat/real.png", "cat/twice.png"]
    assert [entry.read() for entry in entries.values()] == [png(1)] * 4
    assert {entry.label for entry in entries.values()} == {"cat"}


def test_stamp_of_a_link_changes_with_its_file(tmp_path: Path) -> None:
    put(tmp_path / "store", "a")
    put(tmp_path / "pool", "b.png")
    (tmp_path / "pool/a.png").symlink_to(tmp_path / "store/a")
    read = listed(tmp_path / "pool")["a.png"].read
    assert isinstance(read, FileBytes)
    before = read.stamp()
    (tmp_path / "store/a").write_bytes(png(2) + b"more")
    assert read.stamp() != before


def test_links_to_folders_and_special_files_are_listed_but_not_opened(tmp_path: Path) -> None:
    put(tmp_path / "pool", "real.png")
    put(tmp_path / "outside", "secret.png")
    (tmp_path / "pool/folder_link").symlink_to(tmp_path / "outside")
    (tmp_path / "pool/loop").symlink_to(tmp_path / "pool")
    (tmp_path / "pool/self.png").symlink_to("self.png")
    (tmp_path / "pool/gone.png").symlink_to(tmp_path / "gone.png")
    os.mkfifo(tmp_path / "pool/pipe.png")
    (tmp_path / "pool/pipe_link.png").symlink_to("pipe.png")
    (tmp_path / "pool/device.png").symlink_to("/dev/zero")
    with tempfile.TemporaryDirectory(dir="/tmp") as short, socket.socket(socket.AF_UNIX) as server:
        server.bind(f"{short}/s.png")
        os.link(f"{short}/s.png", tmp_path / "pool/socket.png")
    reasons = {}
    for name, entry in listed(tmp_path / "pool").items():
        try:
            entry.read()
        except UnreadableImageError as error:
            reasons[name] = error.reason
    folder = "symbolic link to a folder, not followed; make a pool of that folder instead"
    nothing = "symbolic link to a file that is missing or not regular"
    assert reasons == {
        "device.png": nothing,
        "folder_link": folder,
        "gone.png": nothing,
        "loop": folder,
        "pipe.png": "not a regular file (pipe)",
        "pipe_link.png": nothing,
        "self.png": nothing,
        "socket.png": "not a regular file (socket)",
    }


def test_link_to_the_pool_folder_is_followed(tmp_path: Path) -> None:
    put(tmp_path / "pool", "a.png")
    (tmp_path / "link").symlink_to(tmp_path / "pool")
    assert list(listed(tmp_path / "link")) == ["a.png"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every folder")
def test_unreadable_folder_is_listed_with_its_reason(tmp_path: Path) -> None:
    put(tmp_path, "a.png", "locked/b.png")
    (tmp_path / "locked").chmod(0)
    try:
        with pytest.raises(UnreadableImageError, match="permission denied"):
            listed(tmp_path)["locked"].read()
    finally:
        (tmp_path / "locked").chmod(0o755)


@pytest.mark.parametrize(
    "name", ["gone.png", "../a.png", "/etc/passwd", ".hidden.png", "a/../a.png"]
)
def test_get_refuses_missing_hidden_and_outside_files(tmp_path: Path, name: str) -> None:
    put(tmp_path, "a.png", ".hidden.png")
    with pytest.raises(InputDataError, match="contains no image"):
        open_source(str(tmp_path), base=tmp_path).get(SampleId(name))


@pytest.mark.parametrize("names", [[], [".hidden.png"], ["readme.txt"]])
def test_a_folder_without_images_is_refused(tmp_path: Path, names: list[str]) -> None:
    put(tmp_path, *names)
    with pytest.raises(InputDataError, match="contains no images"):
        open_source(str(tmp_path), base=tmp_path)


@pytest.mark.parametrize(
    ("names", "is_refused"),
    [
        (["a/b/c/d.png"], False),
        (["a/readme.txt", "b/.hidden/x.png"], True),
        (["a/readme.txt", "b/x.bin"], False),
    ],
)
def test_folder_is_refused_only_if_no_file_would_be_listed(
    tmp_path: Path, names: list[str], is_refused: bool
) -> None:
    put(tmp_path, *names)
    if is_refused:
        with pytest.raises(InputDataError, match="contains no images"):
            open_source(str(tmp_path), base=tmp_path)
    else:
        source = open_source(str(tmp_path), base=tmp_path)
        assert source.spec == str(tmp_path)
        assert any(True for _ in source.entries())


def test_folder_with_only_links_is_a_pool(tmp_path: Path) -> None:
    (tmp_path / "link.png").symlink_to("/etc/passwd")
    assert list(listed(tmp_path)) == ["link.png"]


def test_file_list_keeps_order_and_drops_duplicates(tmp_path: Path) -> None:
    put(tmp_path, "a.png", "b/c.png")
    (tmp_path / "list").write_bytes(b"b/c.png\r\na.png\n\nb/c.png\n")
    source = open_list("list", base=tmp_path)
    assert [entry.id for entry in source.entries()] == ["b/c.png", "a.png"]
    assert [entry.read() for entry in source.entries()] == [png(1)] * 2
    assert source.count() == 2


def test_nul_separated_list_may_contain_newlines() -> None:
    assert list(read_names(io.BytesIO(b"a\nb.png\0c.png\0"), spec="-")) == [b"a\nb.png", b"c.png"]
    names = [b"%d.png" % number for number in range(30_000)]
    assert list(read_names(io.BytesIO(b"\n".join(names)), spec="-")) == names


def test_overlong_name_in_a_list_is_refused() -> None:
    with pytest.raises(InputDataError, match="over 65536 bytes"):
        list(read_names(io.BytesIO(b"x" * 10_000_000), spec="-"))


def test_empty_or_missing_list_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputDataError, match="names no files"):
        FileListSource([], base=tmp_path, spec="-")
    with pytest.raises(InputDataError, match="cannot read the list"):
        open_list("missing", base=tmp_path)

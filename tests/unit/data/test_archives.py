"""Zip and tar archives: their entries, and archives refused before any member is read."""

import gzip
import io
import os
import resource
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sample_images import png

from dgaal_cli.data.sources import open_source
from dgaal_cli.data.sources.tar_archive import ShardSource, expand_braces
from dgaal_cli.data.unreadable import UnreadableImageError
from dgaal_cli.errors import InputDataError
from dgaal_cli.ids import SampleId

Members = dict[str, bytes]


def make_zip(path: Path, members: Members, *, method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def make_tar(path: Path, members: Members, *, kind: int = tarfile.PAX_FORMAT) -> Path:
    mode = "w:gz" if path.name.endswith("gz") else "w"
    with tarfile.open(path, mode, format=kind) as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


MAKERS: dict[str, Callable[[Path, Members], Path]] = {
    "zip": make_zip,
    "tar": make_tar,
    "tar.gz": make_tar,
}


@pytest.fixture(params=MAKERS)
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Members], Path]:
    maker = MAKERS[request.param]
    return lambda members: maker(tmp_path / f"pool.{request.param}", members)


def listed_entries(path: Path) -> list[tuple[str, str | None, str]]:
    source = open_source(path.name, base=path.parent)
    return [(entry.id, entry.label, entry.split) for entry in source.entries()]


def test_entries_have_names_labels_and_splits_of_members(make: Callable[[Members], Path]) -> None:
    path = make(
        {
            "pool/readme.txt": b"text",
            "pool/cat/1.png": png(1),
            "pool/.hidden.png": png(1),
            "__MACOSX/._1.png": b"x",
            "pool/train/dog/2.png": png(2),
        }
    )
    assert listed_entries(path) == [
        ("pool/cat/1.png", "cat", ""),
        ("pool/train/dog/2.png", "train", ""),
    ]


def test_names_that_start_with_a_dot_and_a_slash_are_not_hidden(
    make: Callable[[Members], Path],
) -> None:
    path = make(
        {
            "./cat/1.png": png(1),
            "./dog/./2.png": png(2),
            "./.hidden.png": png(3),
            "./cat/.thumbnails/1.png": png(4),
        }
    )
    assert listed_entries(path) == [("cat/1.png", "cat", ""), ("dog/2.png", "dog", "")]
    entry = open_source(path.name, base=path.parent).get(SampleId("dog/2.png"))
    assert entry.read() == png(2)


@pytest.mark.parametrize("name", ["./../evil.png", ".//evil.png", "a/./../../evil.png"])
def test_dots_hide_no_name_that_leads_outside(make: Callable[[Members], Path], name: str) -> None:
    with pytest.raises(InputDataError, match="leads outside"):
        listed_entries(make({name: png(1)}))


def test_common_top_folder_is_not_a_class(make: Callable[[Members], Path]) -> None:
    path = make({"pool/cat/1.png": png(1), "pool/test/dog/2.png": png(2)})
    assert listed_entries(path) == [
        ("pool/cat/1.png", "cat", ""),
        ("pool/test/dog/2.png", "test", ""),
    ]


@pytest.mark.parametrize(
    "name", ["../evil.png", "/etc/evil.png", "a/../../evil.png", "C:/evil.png", "..\\evil.png"]
)
def test_archive_with_member_name_outside_it_is_refused(
    make: Callable[[Members], Path], name: str
) -> None:
    path = make({"good.png": png(1), name: png(2)})
    with pytest.raises(InputDataError, match=r"was refused: its member .* leads outside"):
        listed_entries(path)


def test_member_name_with_control_characters_is_read(make: Callable[[Members], Path]) -> None:
    name = "\x1b]52;c;x\x07/[/b]\u202egnp.png"
    path = make({name: png(1), "b.png": png(2)})
    source = open_source(str(path), base=path.parent)
    assert source.get(SampleId(name)).read() == png(1)


def test_an_archive_without_images_is_refused(make: Callable[[Members], Path]) -> None:
    with pytest.raises(InputDataError, match="contains no images"):
        listed_entries(make({"readme.txt": b"text"}))


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 0.8, 0.85])
def test_truncated_archive_is_refused(make: Callable[[Members], Path], share: float) -> None:
    path = make({f"{number}.png": os.urandom(3000) for number in range(20)})
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(InputDataError, match="was refused"):
        listed_entries(path)


def test_nested_archives_are_not_opened(make: Callable[[Members], Path], tmp_path: Path) -> None:
    inner = make_zip(tmp_path / "inner.zip", {"a.png": png(1)}).read_bytes()
    source = open_source(str(make({"inner.zip": inner})), base=tmp_path)
    assert [entry.read() for entry in source.entries()] == [inner]


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_archive_with_duplicate_member_name_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.png", png(1))
        archive.writestr("a.png", png(2))
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for number in (1, 2):
            info = tarfile.TarInfo("a.png")
            info.size = len(png(number))
            tar.addfile(info, io.BytesIO(png(number)))
    for name in ("a.zip", "a.tar"):
        with pytest.raises(InputDataError, match=r"'a\.png' twice"):
            listed_entries(tmp_path / name)


def test_zip_with_link_encryption_or_unusual_method_is_refused(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("link.png")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "link.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(InputDataError, match="link or a device"):
        listed_entries(tmp_path / "link.zip")
    make_zip(tmp_path / "lzma.zip", {"a.png": png(1)}, method=zipfile.ZIP_LZMA)
    with pytest.raises(InputDataError, match="neither stored nor deflated"):
        listed_entries(tmp_path / "lzma.zip")
    path = make_zip(tmp_path / "locked.zip", {"a.png": png(1)})
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\1\2") + 8] |= 1
    path.write_bytes(data)
    with pytest.raises(InputDataError, match="is encrypted"):
        listed_entries(path)


def test_zip_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "b.zip", {"a.png": bytes(200_000_000)}, method=zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 200_000
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputDataError, match="unpacks to over 100 times its size"):
        listed_entries(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024


def test_zip_with_overlapping_members_is_refused(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "o.zip", {"a.png": png(1), "b.png": png(2)})
    data = bytearray(path.read_bytes())
    second = data.index(b"PK\1\2", data.index(b"PK\1\2") + 4)
    # the entry of b.png points to a.png's bytes
    data[second + 42 : second + 46] = struct.pack("<L", 0)
    path.write_bytes(data)
    with pytest.raises(InputDataError, match="members overlap"):
        listed_entries(path)


def test_damaged_member_is_unreadable_and_others_are_readable(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "a.zip", {"a.png": png(1), "b.png": png(2)})
    data = path.read_bytes()
    path.write_bytes(data.replace(png(1)[20:], bytes(len(png(1)) - 20)))
    source = open_source(str(path), base=tmp_path)
    with pytest.raises(UnreadableImageError, match="damaged archive member"):
        source.get(SampleId("a.png")).read()
    assert source.get(SampleId("b.png")).read() == png(2)


def test_gzip_bomb_is_refused_with_bounded_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dgaal_cli.data.sources.tar_archive.MAX_TOTAL_BYTES", 2**20)
    make_tar(tmp_path / "bomb.tar.gz", {"a.png": bytes(100_000_000)})
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputDataError, match="unpacks to over 100 times its size"):
        listed_entries(tmp_path / "bomb.tar.gz")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024


@pytest.mark.parametrize("kind", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_every_tar_format_keeps_long_and_non_utf8_names(tmp_path: Path, kind: int) -> None:
    long = "/".join(["folder" * 5] * 4) + "/" + "x" * 60 + ".png"
    names = ["\u00e9t\u00e9.png", "\udcff.png", long]
    if kind != tarfile.USTAR_FORMAT:
        names.append("y" * 250 + ".png")
    path = make_tar(tmp_path / "a.tar", {name: png(1) for name in names}, kind=kind)
    source = open_source(str(path), base=tmp_path)
    assert {entry.id for entry in source.entries()} == set(names)
    assert all(entry.read() == png(1) for entry in source.entries())


@pytest.mark.parametrize(
    "kind",
    [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.GNUTYPE_SPARSE],
)
def test_tar_with_link_or_device_is_refused(tmp_path: Path, kind: bytes) -> None:
    info = tarfile.TarInfo("link.png")
    info.type, info.linkname = kind, "/etc/passwd"
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        archive.addfile(info)
    with pytest.raises(InputDataError, match="link, a device or a sparse file"):
        listed_entries(tmp_path / "a.tar")


def header(name: bytes = b"a.png", *, size: bytes = b"00000000000", kind: bytes = b"0") -> bytes:
    block = bytearray(512)
    block[: len(name)] = name
    block[100:108] = b"0000644\0"
    block[124 : 124 + len(size)] = size
    block[156:157] = kind
    block[257:265] = b"ustar\x0000"
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def pax(text: bytes) -> bytes:
    return header(size=b"%011o" % len(text), kind=b"x") + text + bytes(-len(text) % 512)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (header(size=b"\xff" * 12), "negative size"),
        (header(size=b"\x80" + b"\xff" * 11), "over 256 MiB"),
        (header(size=b"-0000000512"), "header is damaged"),
        (header(size=b"77777777777"), "over 256 MiB"),
        (header(size=b"00000002000"), "ends within a member"),
        (pax(b"20 size=-1000000000\n") + header(), "an invalid size"),
        (pax(b"999 path=x\n") + header(), "extended header is damaged"),
        (pax(b"0 path=x\n") + header(), "extended header is damaged"),
        (pax(b"11 path x\n\n") + header(), "extended header is damaged"),
        (pax(b"22 GNU.sparse.major=1\n") + header(), "sparse file"),
        (header(size=b"77777777777", kind=b"x"), "extended header is too long"),
        (header(size=b"77777777777", kind=b"L"), "extended header is too long"),
        (header() + b"x" * 512, "header is damaged"),
        (header() + b"x" * 100, "ends within a header"),
        (b"no tar file at all" * 100, "not a tar file"),
        (header(b"../a.png"), "leads outside"),
        (pax(b"17 path=../b.png\n") + header(), "leads outside"),
    ],
    ids=range(17),
)
def test_tar_with_invalid_header_is_refused(tmp_path: Path, data: bytes, message: str) -> None:
    for name, content in (("a.tar", data), ("a.tar.gz", gzip.compress(data))):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputDataError, match=f"was refused: .*{message}"):
            listed_entries(tmp_path / name)


def test_tar_without_end_marker_is_refused_with_the_command_that_adds_it(
    tmp_path: Path,
) -> None:
    path = tmp_path / "my pool.tar"
    path.write_bytes(header())
    with pytest.raises(InputDataError, match=r"truncated; .* truncate -s \+1024 '.*my pool\.tar'$"):
        listed_entries(path)
    with path.open("ab") as stream:
        stream.truncate(len(header()) + 1024)
    assert listed_entries(path) == [("a.png", None, "")]


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
@settings(
    max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(data=st.data())
def test_damaged_archive_is_refused_or_readable(
    tmp_path: Path, kind: str, data: st.DataObject
) -> None:
    path = MAKERS[kind](tmp_path / f"p.{kind}", {"a/1.png": png(1), "b/2.png": png(2)})
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    try:
        entries = list(open_source(str(path), base=tmp_path).entries())
    except InputDataError:
        return
    for entry in entries:
        try:
            entry.read()
        except UnreadableImageError:
            continue


def test_shards_form_one_pool_with_labels_from_sidecar_members(tmp_path: Path) -> None:
    make_tar(
        tmp_path / "p-00.tar", {"a.png": png(1), "a.cls": b"3\n", "b.cls": b"4", "b.png": png(2)}
    )
    make_tar(
        tmp_path / "p-01.tar",
        {"a.png": png(3), "a.json": b'{"label": "cat"}', "c.png": png(4), "d.json": b"broken"},
    )
    source = open_source("p-{00..01}.tar", base=tmp_path)
    assert [(entry.id, entry.label) for entry in source.entries()] == [
        ("p-00.tar/a.png", "3"),
        ("p-00.tar/b.png", "4"),
        ("p-01.tar/a.png", "cat"),
        ("p-01.tar/c.png", None),
    ]
    assert [entry.read() for entry in source.entries()] == [png(n) for n in (1, 2, 3, 4)]
    assert source.get(SampleId("p-01.tar/a.png")).read() == png(3)
    for name in ("p-02.tar/a.png", "p-01.tar/b.png", "a.png"):
        with pytest.raises(InputDataError, match="contains no image"):
            source.get(SampleId(name))


def test_zip_member_without_a_name_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "p.zip", "w") as archive:
        archive.writestr("a.png", png(1))
        archive.writestr(zipfile.ZipInfo(""), png(2))
    with pytest.raises(InputDataError, match="a member has no name"):
        open_source("p.zip", base=tmp_path)


def test_label_of_a_sample_is_not_that_of_its_mask(tmp_path: Path) -> None:
    files = {"a.cls": b"cat", "a.png": png(1), "a.seg.png": png(2)}
    make_tar(tmp_path / "p.tar", files | {"b.v2.cls": b"dog", "b.v2.png": png(3)})
    found = [(entry.id, entry.label) for entry in open_source("p.tar", base=tmp_path).entries()]
    assert found == [("a.png", "cat"), ("a.seg.png", None), ("b.v2.png", "dog")]


def test_shards_with_equal_names_in_several_folders_are_all_read(tmp_path: Path) -> None:
    for day in range(3):
        (tmp_path / f"day-{day}").mkdir()
        make_tar(tmp_path / f"day-{day}/pool.tar", {"a.png": png(day), "b.png": png(day + 3)})
    source = open_source("day-{0..2}/pool.tar", base=tmp_path)
    assert source.count() == 6
    names = [entry.id for entry in source.entries()]
    assert names == [f"day-{day}/pool.tar/{name}.png" for day in range(3) for name in "ab"]
    for number, name in enumerate(names):
        assert source.get(name).read() == png(number // 2 + number % 2 * 3)
    with pytest.raises(InputDataError, match="contains no image"):
        source.get(SampleId("day-3/pool.tar/a.png"))


def test_duplicate_shard_is_read_once(tmp_path: Path) -> None:
    path = make_tar(tmp_path / "p.tar", {"a.png": png(1)})
    source = ShardSource("p.tar", [path, path])
    assert [entry.id for entry in source.entries()] == ["p.tar/a.png"]


def test_missing_shard_error_names_it(tmp_path: Path) -> None:
    make_tar(tmp_path / "p-0.tar", {"a.png": png(1)})
    with pytest.raises(InputDataError, match=r"2 of the 3 shards .* the first is p-1\.tar"):
        open_source("p-{0..2}.tar", base=tmp_path)


def test_expand_braces_keeps_order_and_zero_padding() -> None:
    assert expand_braces("a-{08..10}.tar") == ["a-08.tar", "a-09.tar", "a-10.tar"]
    assert expand_braces("{0..1}-{0..1}.tar") == ["0-0.tar", "0-1.tar", "1-0.tar", "1-1.tar"]
    assert expand_braces("plain.tar") == []
    for pattern in ("{5..2}.tar", "{0..100000}.tar", "{0..999}{0..999}.tar"):
        with pytest.raises(InputDataError):
            expand_braces(pattern)

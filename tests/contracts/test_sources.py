"""The contract of every kind of source, each with the same images."""

import io
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from sample_images import encoded, pixels

from dgaal_cli.data.decode_stream import decode_stream
from dgaal_cli.data.image_reader import ImageReader
from dgaal_cli.data.sources import Entry, FileBytes, Source, open_source
from dgaal_cli.data.sources.files import open_list
from dgaal_cli.data.sources.registry import _BY_SUFFIX
from dgaal_cli.errors import InputDataError
from dgaal_cli.ids import SampleId

COUNT = 70
IMAGES = np.stack([pixels(number, height=10, width=10) for number in range(COUNT)])
FILES = {f"c{number % 3}/{number:03d}.png": encoded(IMAGES[number]) for number in range(COUNT)}


def folder(root: Path) -> str:
    for name, data in FILES.items():
        path = root / "pool" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return "pool"


def csv_manifest(root: Path) -> str:
    folder(root)
    lines = [f"pool/{name},{name[:2]},{name}" for name in FILES]
    (root / "m.csv").write_text("file_name,label,id\n" + "\n".join(lines) + "\n")
    return "m.csv"


def jsonl_manifest(root: Path) -> str:
    folder(root)
    lines = [f'{{"file_name": "pool/{name}", "label": "{name[:2]}"}}' for name in FILES]
    (root / "m.jsonl").write_text("\n".join(lines))
    return "m.jsonl"


def zip_file(root: Path) -> str:
    with zipfile.ZipFile(root / "p.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in FILES.items():
            archive.writestr(name, data)
    return "p.zip"


def tar_file(root: Path, name: str = "p.tar", mode: str = "w") -> str:
    with tarfile.open(root / name, mode) as archive:
        for member, data in FILES.items():
            info = tarfile.TarInfo(member)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return name


def packed_tar(root: Path) -> str:
    return tar_file(root, "p.tar.gz", "w:gz")


def shards(root: Path) -> str:
    names = list(FILES)
    for shard in range(2):
        with tarfile.open(root / f"p-{shard}.tar", "w") as archive:
            for number, name in enumerate(names[shard::2]):
                for suffix, data in (("png", FILES[name]), ("cls", name[:2].encode())):
                    info = tarfile.TarInfo(f"{number:04d}.{suffix}")
                    info.size = len(data)
                    archive.addfile(info, io.BytesIO(data))
    return "p-{0..1}.tar"


def arrays(root: Path) -> str:
    labels = np.array([name[:2] for name in FILES])
    np.savez_compressed(root / "p.npz", x=IMAGES, y=labels)
    return "p.npz"


def parquet(root: Path) -> str:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    table = pa.table({"image": list(FILES.values()), "label": [name[:2] for name in FILES]})
    pq.write_table(table, root / "p.parquet", row_group_size=16)
    return "p.parquet"


def split(root: Path) -> str:
    labels = np.array([name[:2] for name in FILES])
    np.savez(root / "s.npz", x_train=IMAGES, y_train=labels, x_test=IMAGES[:3])
    return "s.npz#train"


def packed_jpeg(root: Path) -> str:
    """Concatenated files; PNG, so that pixels can be compared."""
    files = list(FILES.values())
    np.savez(
        root / "j.npz",
        x_jpeg=np.frombuffer(b"".join(files), np.uint8),
        x_offsets=np.cumsum([0, *map(len, files)]),
        y=np.array([name[:2] for name in FILES]),
    )
    return "j.npz"


def digits(_: Path) -> str:
    pytest.importorskip("sklearn")
    return "builtin:digits"


def file_list(root: Path) -> str:
    folder(root)
    (root / "names.txt").write_text("".join(f"pool/{name}\n" for name in FILES))
    return "names.txt"


MAKERS: dict[str, Callable[[Path], str]] = {
    "folder": folder,
    ".csv": csv_manifest,
    ".jsonl": jsonl_manifest,
    ".zip": zip_file,
    ".tar": tar_file,
    ".tar.gz": packed_tar,
    "shards": shards,
    ".npz": arrays,
    ".parquet": parquet,
    "split": split,
    "packed .npz": packed_jpeg,
    "builtin:digits": digits,
}


@pytest.fixture(params=MAKERS)
def pool(request: pytest.FixtureRequest, tmp_path: Path) -> Source:
    """Return a source of each kind that a workspace can use."""
    return open_source(MAKERS[request.param](tmp_path), base=tmp_path)


@pytest.fixture(params=[*MAKERS, "--files-from", "-"])
def source(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Source:
    """Return a source of each kind that can be scored."""
    if request.param in MAKERS:
        return open_source(MAKERS[request.param](tmp_path), base=tmp_path)
    name = file_list(tmp_path)
    if request.param == "-":
        with (tmp_path / name).open() as stream:
            monkeypatch.setattr(sys, "stdin", stream)
            return open_list("-", base=tmp_path)
    return open_list(name, base=tmp_path)


def truth(source: Source) -> tuple[list[bytes], list[str]]:
    """Return the pixels (side, side, 3) of all images, and their classes."""
    if source.spec != "builtin:digits":
        return [image.tobytes() for image in IMAGES], [name[:2] for name in FILES]
    from sklearn.datasets import load_digits

    bunch = load_digits()
    gray = np.rint(bunch.images * (255 / 16)).astype(np.uint8)
    return [np.dstack([image] * 3).tobytes() for image in gray], [str(n) for n in bunch.target]


def decoded(source: Source) -> Iterator[tuple[Entry, bytes]]:
    """Yield entries with their pixels at the original size."""
    size = 8 if source.spec == "builtin:digits" else 10
    for batch in decode_stream(source.entries(), size=size, channels=3, workers=1):
        yield from zip(batch.entries, (image.tobytes() for image in batch.pixels), strict=True)


def test_suite_covers_every_kind_of_file() -> None:
    kinds = {suffixes[0] for suffixes, _ in _BY_SUFFIX}
    assert kinds - {".jpg"} <= set(MAKERS)


def test_every_kind_of_source_gives_the_same_pixels(source: Source) -> None:
    assert sorted(image for _, image in decoded(source)) == sorted(truth(source)[0])


def test_two_passes_give_the_same_entries_in_the_same_order(source: Source) -> None:
    first = [(entry.id, entry.label, entry.split, entry.path) for entry in source.entries()]
    second = [(entry.id, entry.label, entry.split, entry.path) for entry in source.entries()]
    assert first == second
    assert len({name for name, *_ in first}) == len(truth(source)[0])


def test_entries_have_the_labels_of_their_images(pool: Source) -> None:
    label_of = dict(zip(*truth(pool), strict=True))
    for entry, image in decoded(pool):
        label = entry.label if entry.label != "pool" else entry.id[5:7]
        assert label == label_of[image]


def test_get_returns_the_image_of_its_id(source: Source) -> None:
    streamed = {}
    for entry in source.entries():
        data = entry.read()
        streamed[entry.id] = data if isinstance(data, bytes) else data.tobytes()
    for name in list(streamed)[::9]:
        entry = source.get(name)
        data = entry.read()
        assert entry.id == name
        assert (data if isinstance(data, bytes) else data.tobytes()) == streamed[name]


def test_path_of_is_the_path_of_the_file_that_get_reads(source: Source) -> None:
    for name in [entry.id for entry in source.entries()][::9]:
        read = source.get(name).read
        assert source.path_of(name) == (read.path if isinstance(read, FileBytes) else None)


@pytest.mark.parametrize("name", ["nothing", "", "../x", "c0/000.png/", "\udcff\0", "/", "9" * 400])
def test_unknown_id_is_an_input_error(source: Source, name: str) -> None:
    with pytest.raises(InputDataError, match="contains no image") as caught:
        source.get(SampleId(name))
    assert caught.value.exit_code == 2


def test_count_is_correct_or_none(source: Source) -> None:
    assert source.count() in (len(truth(source)[0]), None)


def test_spec_opens_the_same_source_again(pool: Source) -> None:
    again = open_source(pool.spec, base=Path("/"))
    assert [entry.id for entry in again.entries()] == [entry.id for entry in pool.entries()]
    assert again.spec == pool.spec
    assert again.stamp() == pool.stamp()


def test_iteration_can_be_abandoned_and_restarted(source: Source) -> None:
    entries = source.entries()
    first = next(entries).id
    del entries
    assert next(source.entries()).id == first


def test_image_reader_reads_every_kind_of_source(pool: Source, tmp_path: Path) -> None:
    reader = ImageReader(tmp_path, pool.spec)
    known = set(truth(pool)[0])
    for entry in list(pool.entries())[::30]:
        image = reader.read(entry.id)
        assert np.broadcast_to(image, (*image.shape[:2], 3)).tobytes() in known
    reader.close()


def test_files_that_are_known_are_left_out_and_the_order_stays(pool: Source):
    names = [entry.id for entry in pool.entries()]
    asked: list[str] = []
    assert [e.id for e in pool.entries_except(lambda name, _: bool(asked.append(name)))] == names
    known = set(names[::2]) if asked else set()
    rest = [entry.id for entry in pool.entries_except(lambda name, _: name in known)]
    assert rest == [name for name in names if name not in known]

"""The same image has the same score, whatever carries it, surrounds it or runs the artifact.

Real artifacts, real decoder processes, the real workflow.
"""

import io
import json
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sample_images import encoded

from dgaal_cli.api.score import ScoreOptions, score
from dgaal_cli.data.images import decode, resize
from dgaal_cli.data.sources import Source
from dgaal_cli.data.sources.files import open_list

pytest.importorskip("torch")

COUNT = 45
WITHIN = 1e-4


def pictures() -> dict[str, bytes]:
    """Files of several kinds and sizes; names that are all different."""
    generator = np.random.default_rng(0)
    files: dict[str, bytes] = {}
    for number in range(COUNT):
        side = (8, 8, 21, 40)[number % 4]
        image = generator.integers(0, 256, (side, side + number % 3, 3), dtype=np.uint8)
        kind = ("PNG", "PNG", "JPEG", "BMP")[number % 4]
        files[f"{number:03d}.{kind.lower()}"] = encoded(image, kind)
    return files


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two artifacts of one network, and the same images in every kind of source."""
    from sealed_artifacts import sealed

    folder = tmp_path_factory.mktemp("same")
    (folder / "sampler.onnx").write_bytes(sealed("sampler", "onnx"))
    (folder / "sampler.ts").write_bytes(sealed("sampler", "torchscript"))
    files = pictures()
    (folder / "folder").mkdir()
    for name, data in files.items():
        (folder / "folder" / name).write_bytes(data)
    _write_tar(folder / "pool.tar", files)
    _write_tar(folder / "pool.tar.gz", dict(reversed(files.items())))
    with zipfile.ZipFile(folder / "pool.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    names = "\n".join(f"folder/{name}" for name in files)
    (folder / "pool.csv").write_text(f"file_name\n{names}\n")
    (folder / "names.txt").write_text(names)
    lines = (json.dumps({"file_name": f"folder/{name}"}) for name in files)
    (folder / "pool.jsonl").write_text("\n".join(lines))
    for shard in range(2):
        part = {name: files[name] for name in list(files)[shard::2]}
        _write_tar(folder / f"pool-{shard}.tar", part)
    stacked = np.stack([resize(decode(data), size=8, channels=3) for data in files.values()])
    np.savez(folder / "pool.npz", x=stacked)
    return folder


def _write_tar(path: Path, files: dict[str, bytes]) -> None:
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))


def scores(
    place: Path, source: str | Source = "folder", artifact: str = "sampler.onnx", **options: int
) -> dict[str, float]:
    chosen = ScoreOptions(device="cpu", is_trusted=True, **options)  # type: ignore[arg-type]
    result = score(source, artifact=place / artifact, base=place, options=chosen)
    assert result.unreadable == 0
    return {row.id: row.score for row in result.rows}


def close(left: dict[str, float], right: dict[str, float]) -> None:
    assert left.keys() == right.keys()
    assert len(left) == COUNT
    assert max(abs(left[name] - right[name]) for name in left) <= WITHIN


@pytest.mark.slow
@pytest.mark.parametrize("batch", [1, 2, 7, 64, 200])
def test_for_any_batch_size(place: Path, batch: int) -> None:
    close(scores(place, batch=batch), scores(place))


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2, 5])
@pytest.mark.parametrize("threads", [1, 2, 4])
def test_for_any_number_of_workers_and_threads_to_the_last_bit(
    place: Path, workers: int, threads: int
) -> None:
    assert scores(place, workers=workers, threads=threads) == scores(place)


def by_number(found: dict[str, float]) -> dict[str, float]:
    return {name.rpartition("/")[2].partition(".")[0]: value for name, value in found.items()}


def by_row(found: dict[str, float]) -> dict[str, float]:
    return {name.rpartition("/")[2][-3:]: value for name, value in found.items()}


SOURCES: dict[str, Callable[[dict[str, float]], dict[str, float]]] = {
    "pool.tar": by_number,
    "pool.tar.gz": by_number,  # in reverse order
    "pool.zip": by_number,
    "pool-{0..1}.tar": by_number,  # even numbers first
    "pool.csv": by_number,
    "pool.jsonl": by_number,
    "pool.npz": by_row,
}


@pytest.mark.slow
@pytest.mark.parametrize("source", SOURCES)
def test_for_any_kind_of_source_and_order(place: Path, source: str) -> None:
    close(SOURCES[source](scores(place, source)), by_number(scores(place)))


@pytest.mark.slow
def test_for_parquet(place: Path) -> None:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    table = pa.table({"image": list(pictures().values())})
    pq.write_table(table, place / "pool.parquet", row_group_size=16)
    close(by_row(scores(place, "pool.parquet")), by_number(scores(place)))


@pytest.mark.slow
def test_for_a_list_of_files(place: Path) -> None:
    listed = open_list("names.txt", base=place)
    close(by_number(scores(place, listed)), by_number(scores(place)))


@pytest.mark.slow
def test_among_other_neighbors(place: Path, tmp_path: Path) -> None:
    whole = scores(place)
    for name in list(whole)[::9]:
        (tmp_path / name).write_bytes((place / "folder" / name).read_bytes())
    (tmp_path / "000-broken.png").write_bytes(b"text")
    result = score(str(tmp_path), artifact=place / "sampler.onnx", base=place)
    found = {row.id: row.score for row in result.rows if not row.is_unreadable}
    assert len(found) == 5
    assert max(abs(found[name] - whole[name]) for name in found) <= WITHIN


@pytest.mark.slow
def test_for_any_engine(place: Path) -> None:
    close(scores(place, artifact="sampler.ts"), scores(place))


@pytest.mark.slow
def test_as_the_eager_network_computes_it(place: Path) -> None:
    from formula_nets import sampler_case

    from dgaal_cli.artifacts.engines.eager import EagerEngine

    case = sampler_case()
    engine = EagerEngine(case.module, case.spec.manifest)
    found = by_number(scores(place))
    for name, data in pictures().items():
        image = resize(decode(data), size=8, channels=3)
        expected = float(engine.run({"images": image[None]})["score"][0])
        assert abs(found[name.partition(".")[0]] - expected) <= WITHIN

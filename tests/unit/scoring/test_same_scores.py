"""The same image has the same score for every source, batch, number of workers and engine.

The tests use real artifacts, decoder processes and the real workflow.
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
TOLERANCE = 1e-4


def pictures() -> dict[str, bytes]:
    """Return files of several formats and sizes, with distinct names."""
    generator = np.random.default_rng(0)
    files: dict[str, bytes] = {}
    for number in range(COUNT):
        side = (8, 8, 21, 40)[number % 4]
        image = generator.integers(0, 256, (side, side + number % 3, 3), dtype=np.uint8)
        kind = ("PNG", "PNG", "JPEG", "BMP")[number % 4]
        files[f"{number:03d}.{kind.lower()}"] = encoded(image, kind)
    return files


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Create two artifacts of one network, and the same images in every kind of source."""
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
    root: Path, source: str | Source = "folder", artifact: str = "sampler.onnx", **options: int
) -> dict[str, float]:
    score_options = ScoreOptions(device="cpu", is_trusted=True, **options)  # type: ignore[arg-type]
    result = score(source, artifact=root / artifact, base=root, options=score_options)
    assert result.unreadable == 0
    return {row.id: row.score for row in result.rows}


def assert_close(left: dict[str, float], right: dict[str, float]) -> None:
    assert left.keys() == right.keys()
    assert len(left) == COUNT
    assert max(abs(left[name] - right[name]) for name in left) <= TOLERANCE


@pytest.mark.slow
@pytest.mark.parametrize("batch", [1, 2, 7, 64, 200])
def test_scores_are_equal_for_any_batch_size(root: Path, batch: int) -> None:
    assert_close(scores(root, batch=batch), scores(root))


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2, 5])
@pytest.mark.parametrize("threads", [1, 2, 4])
def test_scores_are_bit_equal_for_any_number_of_workers_and_threads(
    root: Path, workers: int, threads: int
) -> None:
    assert scores(root, workers=workers, threads=threads) == scores(root)


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
def test_scores_are_equal_for_any_kind_of_source_and_order(root: Path, source: str) -> None:
    assert_close(SOURCES[source](scores(root, source)), by_number(scores(root)))


@pytest.mark.slow
def test_scores_are_equal_for_parquet(root: Path) -> None:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    table = pa.table({"image": list(pictures().values())})
    pq.write_table(table, root / "pool.parquet", row_group_size=16)
    assert_close(by_row(scores(root, "pool.parquet")), by_number(scores(root)))


@pytest.mark.slow
def test_scores_are_equal_for_a_list_of_files(root: Path) -> None:
    listed = open_list("names.txt", base=root)
    assert_close(by_number(scores(root, listed)), by_number(scores(root)))


@pytest.mark.slow
def test_scores_do_not_depend_on_the_other_images(root: Path, tmp_path: Path) -> None:
    expected = scores(root)
    for name in list(expected)[::9]:
        (tmp_path / name).write_bytes((root / "folder" / name).read_bytes())
    (tmp_path / "000-broken.png").write_bytes(b"text")
    result = score(str(tmp_path), artifact=root / "sampler.onnx", base=root)
    found = {row.id: row.score for row in result.rows if not row.is_unreadable}
    assert len(found) == 5
    assert max(abs(found[name] - expected[name]) for name in found) <= TOLERANCE


@pytest.mark.slow
def test_scores_are_equal_for_any_engine(root: Path) -> None:
    assert_close(scores(root, artifact="sampler.ts"), scores(root))


@pytest.mark.slow
def test_scores_equal_those_of_the_eager_network(root: Path) -> None:
    from formula_nets import sampler_case

    from dgaal_cli.artifacts.engines.eager import EagerEngine

    case = sampler_case()
    engine = EagerEngine(case.module, case.spec.manifest)
    found = by_number(scores(root))
    for name, data in pictures().items():
        image = resize(decode(data), size=8, channels=3)
        expected = float(engine.run({"images": image[None]})["score"][0])
        assert abs(found[name.partition(".")[0]] - expected) <= TOLERANCE

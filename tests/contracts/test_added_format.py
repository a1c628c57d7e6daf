"""The page docs/add-a-format.md, followed literally in a copy of the package.

One file and one registry line carry a format through the decoder processes, a pool and scoring.
"""

import json
import os
import re
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sample_images import encoded

ROOT = Path(__file__).parents[2]
LAST_LINE = ')\n"""The first format that matches'
NEEDY = (
    '    Format("NEEDY", (".needy",), ((0, b"NEEDY"),), "no_such_package.a:b", "no_such_package", '
    '"needy"),\n'
)

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package as the page leaves it, and one more format whose package is missing."""
    folder = tmp_path_factory.mktemp("copy")
    for name in ("dgaal_cli", "exporters"):
        shutil.copytree(ROOT / name, folder / name)
    page = (ROOT / "docs" / "add-a-format.md").read_text()
    decoder, entry = re.findall(r"```(?:python|text)\n(.*?)```", page, re.DOTALL)
    decoders = folder / "dgaal_cli" / "data" / "decoders"
    (decoders / "dgtest.py").write_text(decoder)
    registry = (decoders / "registry.py").read_text()
    assert registry.count(LAST_LINE) == 1
    registry = registry.replace(LAST_LINE, entry + NEEDY + LAST_LINE)
    (decoders / "registry.py").write_text(registry)
    return folder


@pytest.fixture
def run(copied: Path, tmp_path: Path) -> Run:
    def dgaal(*arguments: str, package: Path = copied) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "dgaal_cli", *arguments],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(package)},
            capture_output=True,
            text=True,
            check=False,
        )

    return dgaal


def images() -> list[np.ndarray]:
    generator = np.random.default_rng(0)
    return [generator.integers(0, 4096, (9, 14)).astype("<u2") for _ in range(5)]


def dgtest(samples: np.ndarray) -> bytes:
    height, width = samples.shape
    return b"DGTEST" + struct.pack("<HH", width, height) + samples.tobytes()


def write(folder: Path, files: dict[str, bytes]) -> None:
    folder.mkdir()
    for name, data in files.items():
        (folder / name).write_bytes(data)


def scores(run: Run, folder: Path, pool: str) -> dict[str, float]:
    done = run("score", pool, "-a", "sampler.onnx", "-o", f"{pool}.jsonl", "-q")
    assert done.returncode == 0, done.stderr
    rows = map(json.loads, (folder / f"{pool}.jsonl").read_text().splitlines())
    return {Path(row["id"]).stem: row["score"] for row in rows}


@pytest.mark.slow
def test_images_of_an_added_format_score_as_their_pixels_do(run: Run, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from sealed_artifacts import sealed

    (tmp_path / "sampler.onnx").write_bytes(sealed("sampler", "onnx"))
    write(tmp_path / "new", {f"{n}.dgtest": dgtest(one) for n, one in enumerate(images())})
    eight = [(one >> 4).astype(np.uint8)[:, :, None] for one in images()]
    write(tmp_path / "plain", {f"{n}.png": encoded(one) for n, one in enumerate(eight)})
    found = scores(run, tmp_path, "new")
    assert len(set(found.values())) == 5
    assert found == scores(run, tmp_path, "plain")


def test_a_workspace_is_made_of_an_added_format(run: Run, tmp_path: Path) -> None:
    files = {f"{n}.dgtest": dgtest(one) for n, one in enumerate(images())}
    files["cut.dgtest"] = files["0.dgtest"][:40]
    files["huge.dgtest"] = b"DGTEST" + struct.pack("<HH", 9_000, 9_000)
    files["needy"] = b"NEEDY and more"
    write(tmp_path / "new", files)
    done = run("init", "made", "--pool", "new", "--json", "-q")
    assert done.returncode == 3, done.stderr
    found = json.loads(done.stdout)
    assert found["images"] == 5
    reasons = {one["id"]: one["reason"] for one in found["unreadable"]}
    assert set(reasons) == {"cut.dgtest", "huge.dgtest", "needy"}
    assert reasons["cut.dgtest"].startswith("damaged image: ")
    assert reasons["huge.dgtest"] == "more than 64 megapixels"
    assert "python -m pip install 'dgaal[needy]'" in reasons["needy"]


def test_a_pool_whose_package_is_missing_names_the_install_line(run: Run, tmp_path: Path) -> None:
    write(tmp_path / "new", {"a.needy": b"NEEDY 1", "b.needy": b"NEEDY 2"})
    done = run("init", "made", "--pool", "new")
    assert done.returncode == 2
    assert "python -m pip install 'dgaal[needy]'" in " ".join(done.stderr.split())
    assert not (tmp_path / "made").exists()


def test_without_the_registry_line_the_files_are_no_images(run: Run, tmp_path: Path) -> None:
    """Negative control."""
    write(tmp_path / "new", {"a.dgtest": dgtest(images()[0])})
    done = run("init", "made", "--pool", "new", package=ROOT)
    assert done.returncode == 2
    assert "not a JPEG, PNG, WEBP, BMP, TIFF or GIF image" in " ".join(done.stderr.split())

"""The steps of docs/add-a-format.md, applied to a copy of the package.

One file and one registry line add a format to the decoder processes, pools and scoring.
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

from dgaal_cli.data.decoders.registry import not_an_image

ROOT = Path(__file__).parents[2]
LAST_LINE = ')\n"""The first format that matches'
NEEDY = (
    '    Format("NEEDY", (".needy",), ((0, b"NEEDY"),), "no_such_package.a:b", "no_such_package", '
    '"needy"),\n'
)

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def package_copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the package after the steps of the page, with another format without its package."""
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
def run(package_copy: Path, tmp_path: Path) -> Run:
    def dgaal(*arguments: str, package: Path = package_copy) -> subprocess.CompletedProcess[str]:
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
def test_images_of_added_format_score_like_equal_png_images(run: Run, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from sealed_artifacts import sealed

    (tmp_path / "sampler.onnx").write_bytes(sealed("sampler", "onnx"))
    write(tmp_path / "new", {f"{n}.dgtest": dgtest(image) for n, image in enumerate(images())})
    eight_bit = [(image >> 4).astype(np.uint8)[:, :, None] for image in images()]
    write(tmp_path / "plain", {f"{n}.png": encoded(image) for n, image in enumerate(eight_bit)})
    found = scores(run, tmp_path, "new")
    assert len(set(found.values())) == 5
    assert found == scores(run, tmp_path, "plain")


def test_init_reads_an_added_format(run: Run, tmp_path: Path) -> None:
    files = {f"{n}.dgtest": dgtest(image) for n, image in enumerate(images())}
    files["cut.dgtest"] = files["0.dgtest"][:40]
    files["huge.dgtest"] = b"DGTEST" + struct.pack("<HH", 9_000, 9_000)
    files["needy"] = b"NEEDY and more"
    write(tmp_path / "new", files)
    done = run("init", "made", "--pool", "new", "--json", "-q")
    assert done.returncode == 3, done.stderr
    found = json.loads(done.stdout)
    assert found["images"] == 5
    reasons = {entry["id"]: entry["reason"] for entry in found["unreadable"]}
    assert set(reasons) == {"cut.dgtest", "huge.dgtest", "needy"}
    assert reasons["cut.dgtest"].startswith("damaged image: ")
    assert reasons["huge.dgtest"] == "more than 64 megapixels"
    assert "python -m pip install 'dgaal[needy]'" in reasons["needy"]


def test_init_without_the_format_package_names_the_install_command(
    run: Run, tmp_path: Path
) -> None:
    write(tmp_path / "new", {"a.needy": b"NEEDY 1", "b.needy": b"NEEDY 2"})
    done = run("init", "made", "--pool", "new")
    assert done.returncode == 2
    assert "python -m pip install 'dgaal[needy]'" in " ".join(done.stderr.split())
    assert not (tmp_path / "made").exists()


def test_control_unregistered_format_is_not_an_image(run: Run, tmp_path: Path) -> None:
    """Negative control."""
    write(tmp_path / "new", {"a.dgtest": dgtest(images()[0])})
    done = run("init", "made", "--pool", "new", package=ROOT)
    assert done.returncode == 2
    assert not_an_image().reason in " ".join(done.stderr.split())

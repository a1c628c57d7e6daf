import json
import os
import subprocess
import sys
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from formula_nets import generator_case, with_formula_weights
from PIL import Image
from sealed_artifacts import sealed

from dgaal_cli.api.generate import (
    GenerateOptions,
    GenerateResult,
    default_generator,
    generate,
    needs_parents,
)
from dgaal_cli.artifacts.engines.eager import EagerEngine
from dgaal_cli.data.sources.folder import FolderSource
from dgaal_cli.errors import (
    ArtifactError,
    InputDataError,
    InterruptedRunError,
    StorageError,
    TrustError,
    UsageError,
)
from dgaal_cli.methods.gaal.dcgan import DcganGenerator
from dgaal_cli.methods.gaal.drawing import DeployedPrior
from exporters.manifest import TensorInfo
from exporters.registry import load_exporter
from exporters.seal import seal
from exporters.spec import ExportSpec


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Create a folder with a generator and a pool of five images of its size."""
    (tmp_path / "generator.onnx").write_bytes(sealed("generator", "onnx"))
    pool = tmp_path / "pool"
    pool.mkdir()
    for number in range(5):
        pixels = np.full((8, 8, 3), 40 * number, np.uint8)
        pixels[number, :, 0] = 255
        Image.fromarray(pixels).save(pool / f"{number}.png")
    return tmp_path


def run(root: Path, name: str = "out", **options: Any) -> GenerateResult:
    return generate(
        "pool",
        artifact=root / "generator.onnx",
        base=root,
        output=root / name,
        options=GenerateOptions(workers=1, device="cpu", **options),
    )


def pixels(folder: Path, name: str) -> np.ndarray:
    with Image.open(folder / name) as picture:
        return np.asarray(picture)


def test_generated_images_equal_the_eager_networks_output(root: Path) -> None:
    result = run(root, count=5, noise=0.0)
    case = generator_case()
    eager = EagerEngine(case.module, case.spec.manifest)
    assert sorted(result.parents) == [f"{number}.png" for number in range(5)]
    for name, parent in zip(result.files, result.parents, strict=True):
        source = pixels(root / "pool", parent)[None].copy()
        expected = eager.run({"images": source, "noise": np.ones((1, 5), np.float32)})
        got = pixels(result.folder, name).astype(int)
        assert np.abs(got - expected["generated"][0].astype(int)).max() <= 1


def test_output_folder_contains_images_contact_sheet_and_provenance(root: Path) -> None:
    result = run(root, count=3, seed=9)
    assert sorted(path.name for path in result.folder.iterdir()) == [
        "000000.png",
        "000001.png",
        "000002.png",
        "contact_sheet.png",
        "generated.jsonl",
    ]
    text = (result.folder / "generated.jsonl").read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    assert [line["file"] for line in lines] == list(result.files)
    assert [line["parent"] for line in lines] == list(result.parents)
    assert {line["seed"] for line in lines} == {9}
    sheet = pixels(result.folder, "contact_sheet.png")
    left = pixels(root / "pool", result.parents[0])
    assert (sheet[8 + 4, 8 + 4] == left[0, 0]).all()  # enlarged 8 times, after a gap of 8 pixels
    right = pixels(result.folder, "000000.png")
    assert (sheet[8 + 4, 8 + 64 + 4] == right[0, 0]).all()


def test_same_seed_gives_the_same_images_for_any_count(root: Path) -> None:
    few, many, other = run(root, "a", count=4), run(root, "b", count=40), run(root, "c", seed=1)
    assert few.parents == many.parents[:4]
    for name in few.files:
        assert (few.folder / name).read_bytes() == (many.folder / name).read_bytes()
    assert other.parents[:5] != many.parents[:5]


def test_one_image_of_a_large_pool_needs_little_memory(root: Path) -> None:
    images = np.zeros((5_000, 64, 64, 3), np.uint8)
    images[:, 0, 0, 0] = np.arange(5_000) % 251
    np.savez_compressed(root / "large.npz", x=images)
    del images
    options = GenerateOptions(count=1, workers=1, device="cpu")
    tracemalloc.start()
    try:
        result = generate(
            "large.npz",
            artifact=root / "generator.onnx",
            base=root,
            output=root / "large",
            options=options,
        )
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(result.files) == 1
    assert peak < 20 * 2**20  # of 61 MB


def test_many_unreadable_parents_are_skipped_in_few_passes(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(200):
        (root / "pool" / f"bad-{number}.png").write_bytes(b"text")
    passes: list[Path] = []
    original = FolderSource.entries
    monkeypatch.setattr(FolderSource, "entries", lambda self: passes.append(root) or original(self))
    result = run(root, count=1)
    assert result.parents[0] in {f"{number}.png" for number in range(5)}
    assert len(passes) <= 1 + 8  # one pass to count, then 1 + 2 + 4 + ... + 128 parents


def test_parents_are_reused_with_different_noise(root: Path) -> None:
    result = run(root, count=12, noise=0.9)
    assert result.parents[:5] == result.parents[5:10]
    assert len(set(result.parents)) == 5
    first, again = (pixels(result.folder, result.files[row]) for row in (0, 5))
    assert (first != again).any()


def test_noise_is_uniform_around_one_with_the_given_width(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dgaal_cli.api import generate as workflow

    seen: list[np.ndarray] = []

    class RecordingEngine:
        device = "cpu"
        manifest = generator_case().spec.manifest

        def run(self, inputs: Any) -> dict[str, np.ndarray]:
            seen.append(inputs["noise"])
            return {"generated": inputs["images"]}

    monkeypatch.setattr(workflow, "start_engine", lambda *_, **__: RecordingEngine())
    run(root, count=200, noise=0.25)
    factors = np.concatenate(seen)
    assert factors.shape == (200, 5)
    assert 0.75 <= factors.min() < 0.76
    assert 1.24 < factors.max() <= 1.25
    assert abs(factors.mean() - 1.0) < 0.02


def test_unreadable_parents_are_reported_and_skipped(root: Path) -> None:
    (root / "pool" / "bad\x1b.png").write_bytes(b"no image")
    result = run(root, count=20)
    assert len(result.files) == 20
    assert [name for name, _ in result.unreadable] == ["bad\x1b.png"]
    assert "bad\x1b.png" not in result.parents


def test_source_without_readable_image_creates_no_folder(root: Path) -> None:
    for number in range(5):
        (root / "pool" / f"{number}.png").write_bytes(b"no image")
    with pytest.raises(InputDataError, match="no readable image to use as a parent"):
        run(root)
    assert sorted(path.name for path in root.iterdir()) == ["generator.onnx", "pool"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"count": 0}, "--count 0"),
        ({"noise": -0.1}, "--noise -0.1"),
        ({"noise": 1.0}, "--noise 1.0"),
        ({"noise": float("nan")}, "--noise nan"),
    ],
)
def test_options_out_of_range_are_refused(
    root: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        run(root, **options)


def test_non_empty_output_folder_is_refused(root: Path) -> None:
    (root / "out").mkdir()
    (root / "out" / "000000.png").write_text("mine")
    with pytest.raises(UsageError, match="is not empty"):
        run(root)
    assert (root / "out" / "000000.png").read_text() == "mine"
    with pytest.raises(UsageError, match="is not empty"):
        run(root, "generator.onnx")
    (root / "empty").mkdir()
    assert run(root, "empty", count=1).files == ("000000.png",)


@pytest.mark.parametrize("role", ["sampler", "classifier"])
def test_artifact_of_another_role_is_refused(root: Path, role: str) -> None:
    (root / "generator.onnx").write_bytes(sealed(role, "onnx"))
    with pytest.raises(ArtifactError, match=f"is a {role}, but a generator is needed"):
        run(root)


def prior_generator(path: Path) -> Any:
    """Write a generator whose only input is latents; return its eager engine."""
    module = with_formula_weights(
        DeployedPrior(DcganGenerator(channels=3, image_size=8, latent=6, width=4))
    ).eval()
    manifest = replace(
        generator_case().spec.manifest,
        inputs=(TensorInfo(name="latents", shape=("N", 6), dtype="float32", meaning="prior"),),
    )
    data = load_exporter("onnx")(module, ExportSpec(manifest=manifest))
    path.write_bytes(seal(data, "onnx"))
    return EagerEngine(module, manifest)


def generate_without_parents(root: Path, name: str, **options: Any) -> np.ndarray:
    result = generate(
        None,
        artifact=root / "generator.onnx",
        base=root,
        output=root / name,
        options=GenerateOptions(device="cpu", **options),
    )
    assert set(result.parents) == {None}
    return np.stack([pixels(result.folder, file) for file in result.files])


def test_generator_without_parents_samples_from_its_prior(root: Path) -> None:
    eager = prior_generator(root / "generator.onnx")
    images = generate_without_parents(root, "a", count=40, seed=3)
    assert images.shape == (40, 8, 8, 3)
    noise = np.random.default_rng((3, 1)).standard_normal((40, 6)).astype(np.float32)
    (expected,) = eager.run({"latents": noise}).values()
    assert np.abs(images.astype(int) - expected.astype(int)).max() <= 1
    assert (generate_without_parents(root, "b", count=5, seed=3) == images[:5]).all()
    constant = generate_without_parents(root, "c", count=3, noise=0.0)
    assert (constant == constant[0]).all()
    provenance = (root / "c" / "generated.jsonl").read_text()
    lines = [json.loads(line) for line in provenance.splitlines()]
    assert [(line["parent"], line["noise"]) for line in lines] == [(None, 0.0)] * 3
    with Image.open(root / "c" / "contact_sheet.png") as sheet:
        assert sheet.size == (3 * 72 + 8, 80)


def test_parents_are_required_only_by_generators_that_use_them(root: Path) -> None:
    assert needs_parents(root / "generator.onnx")
    with pytest.raises(UsageError, match="needs parents; name them"):
        generate_without_parents(root, "a")
    prior_generator(root / "generator.onnx")
    assert not needs_parents(root / "generator.onnx")
    with pytest.raises(UsageError, match="leave --parents out"):
        run(root)
    with pytest.raises(UsageError, match=r"--noise 10\.5 .* 0 to 10"):
        generate_without_parents(root, "a", noise=10.5)
    assert not (root / "a").exists()


def test_torchscript_generator_requires_trust(root: Path) -> None:
    path = root / "generator.ts"
    path.write_bytes(sealed("generator", "torchscript"))

    def draw(folder: str, *, is_trusted: bool) -> GenerateResult:
        options = GenerateOptions(count=2, workers=1, is_trusted=is_trusted)
        return generate("pool", artifact=path, base=root, output=root / folder, options=options)

    with pytest.raises(TrustError):
        draw("a", is_trusted=False)
    assert draw("b", is_trusted=True).files == ("000000.png", "000001.png")


def test_full_disk_leaves_no_output(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="No space left"):
        run(root)
    assert sorted(path.name for path in root.iterdir()) == ["generator.onnx", "pool"]


def test_interruption_leaves_no_output(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dgaal_cli import interruption

    monkeypatch.setattr(interruption, "_signal_number", 2)
    with pytest.raises(InterruptedRunError, match="nothing was written"):
        run(root)
    assert sorted(path.name for path in root.iterdir()) == ["generator.onnx", "pool"]


def test_default_generator_prefers_onnx(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no generator"):
        default_generator(tmp_path)
    (tmp_path / "generator.ts").write_bytes(b"")
    assert default_generator(tmp_path).name == "generator.ts"
    (tmp_path / "generator.onnx").write_bytes(b"")
    assert default_generator(tmp_path).name == "generator.onnx"


def test_generate_command_runs_without_torch_and_workspace(root: Path) -> None:
    code = (
        "import sys\n"
        "from dgaal_cli.cli import app\n"
        "app(args=sys.argv[1:], standalone_mode=False)\n"
        "assert 'torch' not in sys.modules\n"
    )
    arguments = ["-a", "generator.onnx", "-n", "2", "--parents", "pool", "-o", "drawn"]
    done = subprocess.run(
        [sys.executable, "-c", code, "--json", "generate", *arguments],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    )
    document = json.loads(done.stdout)
    assert [image["file"] for image in document["images"]] == ["000000.png", "000001.png"]
    assert (root / "drawn" / "contact_sheet.png").is_file()


def test_generate_command_reads_parent_names_from_standard_input(root: Path) -> None:
    names = "pool/3.png\npool/1.png\n"
    command = [sys.executable, "-m", "dgaal_cli", "generate", "-a", "generator.onnx", "-n", "2"]
    done = subprocess.run(
        [*command, "--parents", "-", "-o", "out", "--device", "cpu"],
        input=names.encode(),
        cwd=root,
        capture_output=True,
        check=False,
        timeout=120,
    )
    assert (done.returncode, done.stderr.decode()) == (0, "")
    lines = (root / "out" / "generated.jsonl").read_text().splitlines()
    assert sorted(json.loads(line)["parent"] for line in lines) == sorted(names.split())

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
from dgaal_cli.methods.gaal.deploy import DeployedPrior
from exporters.manifest import TensorInfo
from exporters.registry import load_exporter
from exporters.seal import seal
from exporters.spec import ExportSpec


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A generator and a pool of five images of its size."""
    (tmp_path / "generator.onnx").write_bytes(sealed("generator", "onnx"))
    pool = tmp_path / "pool"
    pool.mkdir()
    for number in range(5):
        pixels = np.full((8, 8, 3), 40 * number, np.uint8)
        pixels[number, :, 0] = 255
        Image.fromarray(pixels).save(pool / f"{number}.png")
    return tmp_path


def run(place: Path, name: str = "out", **options: Any) -> GenerateResult:
    return generate(
        "pool",
        artifact=place / "generator.onnx",
        base=place,
        output=place / name,
        options=GenerateOptions(workers=1, device="cpu", **options),
    )


def pixels(folder: Path, name: str) -> np.ndarray:
    with Image.open(folder / name) as picture:
        return np.asarray(picture)


def test_images_are_those_that_the_network_draws_from_their_parents(place: Path) -> None:
    result = run(place, count=5, noise=0.0)
    case = generator_case()
    eager = EagerEngine(case.module, case.spec.manifest)
    assert sorted(result.parents) == [f"{number}.png" for number in range(5)]
    for name, parent in zip(result.files, result.parents, strict=True):
        source = pixels(place / "pool", parent)[None].copy()
        expected = eager.run({"images": source, "noise": np.ones((1, 5), np.float32)})
        got = pixels(result.folder, name).astype(int)
        assert np.abs(got - expected["generated"][0].astype(int)).max() <= 1


def test_the_folder_holds_images_sheet_and_provenance(place: Path) -> None:
    result = run(place, count=3, seed=9)
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
    left = pixels(place / "pool", result.parents[0])
    assert (sheet[8 + 4, 8 + 4] == left[0, 0]).all()  # enlarged eightfold behind a gap of eight
    right = pixels(result.folder, "000000.png")
    assert (sheet[8 + 4, 8 + 64 + 4] == right[0, 0]).all()


def test_one_seed_draws_the_same_images_whatever_the_count(place: Path) -> None:
    few, many, other = run(place, "a", count=4), run(place, "b", count=40), run(place, "c", seed=1)
    assert few.parents == many.parents[:4]
    for name in few.files:
        assert (few.folder / name).read_bytes() == (many.folder / name).read_bytes()
    assert other.parents[:5] != many.parents[:5]


def test_one_image_of_a_large_pool_needs_little_memory(place: Path) -> None:
    images = np.zeros((5_000, 64, 64, 3), np.uint8)
    images[:, 0, 0, 0] = np.arange(5_000) % 251
    np.savez_compressed(place / "large.npz", x=images)
    del images
    options = GenerateOptions(count=1, workers=1, device="cpu")
    tracemalloc.start()
    try:
        result = generate(
            "large.npz",
            artifact=place / "generator.onnx",
            base=place,
            output=place / "large",
            options=options,
        )
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(result.files) == 1
    assert peak < 20 * 2**20  # of 61 MB


def test_many_unreadable_parents_are_passed_over_in_a_few_passes(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(200):
        (place / "pool" / f"bad-{number}.png").write_bytes(b"text")
    passes: list[Path] = []
    plain = FolderSource.entries
    monkeypatch.setattr(FolderSource, "entries", lambda self: passes.append(place) or plain(self))
    result = run(place, count=1)
    assert result.parents[0] in {f"{number}.png" for number in range(5)}
    assert len(passes) <= 1 + 8  # to count; 1 + 2 + 4 + ... + 128 parents


def test_parents_are_used_again_with_other_noise(place: Path) -> None:
    result = run(place, count=12, noise=0.9)
    assert result.parents[:5] == result.parents[5:10]
    assert len(set(result.parents)) == 5
    first, again = (pixels(result.folder, result.files[row]) for row in (0, 5))
    assert (first != again).any()


def test_noise_is_uniform_around_one_as_asked(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dgaal_cli.api import generate as workflow

    seen: list[np.ndarray] = []

    class Watched:
        device = "cpu"
        manifest = generator_case().spec.manifest

        def run(self, inputs: Any) -> dict[str, np.ndarray]:
            seen.append(inputs["noise"])
            return {"generated": inputs["images"]}

    monkeypatch.setattr(workflow, "start_engine", lambda *_, **__: Watched())
    run(place, count=200, noise=0.25)
    factors = np.concatenate(seen)
    assert factors.shape == (200, 5)
    assert 0.75 <= factors.min() < 0.76
    assert 1.24 < factors.max() <= 1.25
    assert abs(factors.mean() - 1.0) < 0.02


def test_unreadable_parents_are_named_and_passed_over(place: Path) -> None:
    (place / "pool" / "bad\x1b.png").write_bytes(b"no image")
    result = run(place, count=20)
    assert len(result.files) == 20
    assert [name for name, _ in result.unreadable] == ["bad\x1b.png"]
    assert "bad\x1b.png" not in result.parents


def test_a_source_without_a_readable_image_leaves_no_folder(place: Path) -> None:
    for number in range(5):
        (place / "pool" / f"{number}.png").write_bytes(b"no image")
    with pytest.raises(InputDataError, match="no readable image to use as a parent"):
        run(place)
    assert sorted(path.name for path in place.iterdir()) == ["generator.onnx", "pool"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"count": 0}, "--count 0"),
        ({"noise": -0.1}, "--noise -0.1"),
        ({"noise": 1.0}, "--noise 1.0"),
        ({"noise": float("nan")}, "--noise nan"),
    ],
)
def test_options_out_of_range_are_named(place: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        run(place, **options)


def test_a_folder_in_use_is_never_written_into(place: Path) -> None:
    (place / "out").mkdir()
    (place / "out" / "000000.png").write_text("mine")
    with pytest.raises(UsageError, match="is not empty"):
        run(place)
    assert (place / "out" / "000000.png").read_text() == "mine"
    with pytest.raises(UsageError, match="is not empty"):
        run(place, "generator.onnx")
    (place / "empty").mkdir()
    assert run(place, "empty", count=1).files == ("000000.png",)


@pytest.mark.parametrize("role", ["sampler", "classifier"])
def test_another_role_is_refused(place: Path, role: str) -> None:
    (place / "generator.onnx").write_bytes(sealed(role, "onnx"))
    with pytest.raises(ArtifactError, match=f"is a {role}, but a generator is needed"):
        run(place)


def prior_generator(path: Path) -> Any:
    """A generator that takes latents alone, and what it computes."""
    module = with_formula_weights(
        DeployedPrior(DcganGenerator(channels=3, image_size=8, latent=6, width=4))
    ).eval()
    described = replace(
        generator_case().spec.manifest,
        inputs=(TensorInfo(name="latents", shape=("N", 6), dtype="float32", meaning="prior"),),
    )
    data = load_exporter("onnx")(module, ExportSpec(manifest=described))
    path.write_bytes(seal(data, "onnx"))
    return EagerEngine(module, described)


def drawn(place: Path, name: str, **options: Any) -> np.ndarray:
    result = generate(
        None,
        artifact=place / "generator.onnx",
        base=place,
        output=place / name,
        options=GenerateOptions(device="cpu", **options),
    )
    assert set(result.parents) == {None}
    return np.stack([pixels(result.folder, file) for file in result.files])


def test_a_generator_without_parents_draws_from_its_prior(place: Path) -> None:
    eager = prior_generator(place / "generator.onnx")
    images = drawn(place, "a", count=40, seed=3)
    assert images.shape == (40, 8, 8, 3)
    noise = np.random.default_rng((3, 1)).standard_normal((40, 6)).astype(np.float32)
    (expected,) = eager.run({"latents": noise}).values()
    assert np.abs(images.astype(int) - expected.astype(int)).max() <= 1
    assert (drawn(place, "b", count=5, seed=3) == images[:5]).all()
    still = drawn(place, "c", count=3, noise=0.0)
    assert (still == still[0]).all()
    told = (place / "c" / "generated.jsonl").read_text()
    lines = [json.loads(line) for line in told.splitlines()]
    assert [(line["parent"], line["noise"]) for line in lines] == [(None, 0.0)] * 3
    with Image.open(place / "c" / "contact_sheet.png") as sheet:
        assert sheet.size == (3 * 72 + 8, 80)


def test_parents_go_with_generators_that_redraw_and_with_no_others(place: Path) -> None:
    assert needs_parents(place / "generator.onnx")
    with pytest.raises(UsageError, match="needs parents; name them"):
        drawn(place, "a")
    prior_generator(place / "generator.onnx")
    assert not needs_parents(place / "generator.onnx")
    with pytest.raises(UsageError, match="leave --parents out"):
        run(place)
    with pytest.raises(UsageError, match=r"--noise 10\.5 .* 0 to 10"):
        drawn(place, "a", noise=10.5)
    assert not (place / "a").exists()


def test_torchscript_needs_trust(place: Path) -> None:
    path = place / "generator.ts"
    path.write_bytes(sealed("generator", "torchscript"))

    def draw(folder: str, *, is_trusted: bool) -> GenerateResult:
        options = GenerateOptions(count=2, workers=1, is_trusted=is_trusted)
        return generate("pool", artifact=path, base=place, output=place / folder, options=options)

    with pytest.raises(TrustError):
        draw("a", is_trusted=False)
    assert draw("b", is_trusted=True).files == ("000000.png", "000001.png")


def test_a_full_disk_leaves_nothing(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="No space left"):
        run(place)
    assert sorted(path.name for path in place.iterdir()) == ["generator.onnx", "pool"]


def test_an_interruption_leaves_nothing(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dgaal_cli import interruption

    monkeypatch.setattr(interruption, "_signal_number", 2)
    with pytest.raises(InterruptedRunError, match="nothing was written"):
        run(place)
    assert sorted(path.name for path in place.iterdir()) == ["generator.onnx", "pool"]


def test_the_onnx_generator_is_preferred_in_a_workspace(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no generator"):
        default_generator(tmp_path)
    (tmp_path / "generator.ts").write_bytes(b"")
    assert default_generator(tmp_path).name == "generator.ts"
    (tmp_path / "generator.onnx").write_bytes(b"")
    assert default_generator(tmp_path).name == "generator.onnx"


def test_the_command_draws_without_torch_and_without_a_workspace(place: Path) -> None:
    code = (
        "import sys\n"
        "from dgaal_cli.cli import app\n"
        "app(args=sys.argv[1:], standalone_mode=False)\n"
        "assert 'torch' not in sys.modules\n"
    )
    arguments = ["-a", "generator.onnx", "-n", "2", "--parents", "pool", "-o", "drawn"]
    done = subprocess.run(
        [sys.executable, "-c", code, "--json", "generate", *arguments],
        cwd=place,
        capture_output=True,
        text=True,
        check=True,
    )
    document = json.loads(done.stdout)
    assert [image["file"] for image in document["images"]] == ["000000.png", "000001.png"]
    assert (place / "drawn" / "contact_sheet.png").is_file()


def test_the_command_takes_the_names_of_parents_from_standard_input(place: Path) -> None:
    names = "pool/3.png\npool/1.png\n"
    command = [sys.executable, "-m", "dgaal_cli", "generate", "-a", "generator.onnx", "-n", "2"]
    done = subprocess.run(
        [*command, "--parents", "-", "-o", "out", "--device", "cpu"],
        input=names.encode(),
        cwd=place,
        capture_output=True,
        check=False,
        timeout=120,
    )
    assert (done.returncode, done.stderr.decode()) == (0, "")
    lines = (place / "out" / "generated.jsonl").read_text().splitlines()
    assert sorted(json.loads(line)["parent"] for line in lines) == sorted(names.split())

import dataclasses
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from formula_nets import Case, Fragile, Sampler, classifier_case, generator_case, sampler_case
from sealed_artifacts import engine_of
from torch import nn

from dgaal_cli.artifacts.artifact_bytes import read_artifact
from dgaal_cli.artifacts.engines.eager import EagerEngine
from dgaal_cli.artifacts.engines.load import start_engine
from dgaal_cli.artifacts.folder import WrittenArtifact, write_artifacts
from dgaal_cli.artifacts.verify_artifact import ExportJob
from dgaal_cli.errors import CheckFailedError, StorageError, UsageError
from dgaal_cli.events import ArtifactWritten, Warned
from exporters import to_onnx
from exporters.manifest import parse
from exporters.parity import measure
from exporters.quantize import compare_rankings, quantize


def job(case: Case) -> ExportJob:
    return ExportJob(module=case.module, spec=case.spec)


def write(
    folder: Path, *cases: Case, formats: tuple[str, ...] = ("onnx",), **options: Any
) -> list[WrittenArtifact]:
    options.setdefault("record_artifact", lambda *_: None)
    return write_artifacts([job(case) for case in cases], formats=formats, folder=folder, **options)


class BatchDependentSampler(Sampler):
    """Adds to the score at batch size 7, except while it is exported."""

    def forward(self, images: torch.Tensor) -> Any:
        score, *others = super().forward(images)
        if not torch.jit.is_tracing() and not torch.compiler.is_exporting():
            score = score + 0.01 * (images.shape[0] // 7)
        return score, *others


def wrong_case() -> Case:
    case = sampler_case()
    module = BatchDependentSampler()
    module.load_state_dict(case.module.state_dict())
    return dataclasses.replace(case, module=module)


def test_every_role_and_format_is_written_and_can_be_run(tmp_path: Path) -> None:
    cases = (sampler_case(), generator_case(), classifier_case())
    recorded: list[tuple[bytes, str, str]] = []
    folder = tmp_path / "deep" / "artifacts"
    written = write(
        folder,
        *cases,
        formats=("onnx", "torchscript"),
        record_artifact=lambda *entry: recorded.append(entry),
    )
    assert sorted(path.name for path in folder.iterdir()) == [
        "MODEL_CARD.md",
        "SHA256SUMS",
        "classifier.onnx",
        "classifier.ts",
        "generator.onnx",
        "generator.ts",
        "manifest.json",
        "sampler.onnx",
        "sampler.ts",
    ]
    digests = {digest for digest, _, _ in recorded}
    for item in written:
        assert hashlib.sha256(item.path.read_bytes()).digest() == item.sha256
        assert (item.sha256, item.role, item.format) in recorded
        engine = start_engine(
            read_artifact(item.path, role=item.role), is_trusted=lambda sha: sha in digests
        )
        case = next(case for case in cases if case.spec.manifest.role == item.role)
        measure(EagerEngine(case.module, case.spec.manifest).run, engine.run, case.spec)


def test_embedded_manifest_contains_the_measured_parity(tmp_path: Path) -> None:
    (written,) = write(tmp_path, sampler_case())
    manifest = start_engine(read_artifact(written.path)).manifest
    assert list(manifest.parity) == ["1", "2", "7"]
    assert set(manifest.parity["7"]) == {"score", "p_unlabeled", "probabilities", "features"}
    assert max(manifest.parity["7"].values()) <= written.largest_difference < 1e-5
    assert manifest.versions["torch"] == torch.__version__.split("+")[0]
    assert manifest.created == "2026-11-21T09:00:00Z"


def test_manifest_json_equals_the_embedded_manifests(tmp_path: Path) -> None:
    written = write(tmp_path, sampler_case(), generator_case())
    document = json.loads((tmp_path / "manifest.json").read_text())
    assert [entry["file"] for entry in document["artifacts"]] == ["generator.onnx", "sampler.onnx"]
    for entry in document["artifacts"]:
        item = next(item for item in written if item.path.name == entry["file"])
        assert entry["sha256"] == item.sha256.hex()
        assert entry["size_bytes"] == item.path.stat().st_size
        assert (
            parse(json.dumps(entry["manifest"])) == start_engine(read_artifact(item.path)).manifest
        )


def test_sha256sums_match_every_other_file(tmp_path: Path) -> None:
    write(tmp_path, sampler_case())
    done = subprocess.run(
        ["sha256sum", "--check", "--strict", "SHA256SUMS"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert sorted(done.stdout.splitlines()) == [
        "MODEL_CARD.md: OK",
        "manifest.json: OK",
        "sampler.onnx: OK",
    ]


def test_event_reports_each_file_with_its_measurements(tmp_path: Path) -> None:
    events: list[Any] = []
    (written,) = write(tmp_path, sampler_case(), listener=events.append)
    (event,) = events
    assert isinstance(event, ArtifactWritten)
    assert event.path == str(tmp_path / "sampler.onnx")
    assert (event.role, event.format) == ("sampler", "onnx")
    assert event.size_bytes == written.path.stat().st_size
    assert event.largest_difference == written.largest_difference
    assert event.seconds > 0


def test_failed_parity_names_output_and_writes_no_file(tmp_path: Path) -> None:
    recorded: list[object] = []
    with pytest.raises(
        CheckFailedError, match=r"sampler\.onnx was not written: output 'score' differs by 0\.01"
    ) as caught:
        write(
            tmp_path / "new",
            generator_case(),
            wrong_case(),
            record_artifact=lambda *entry: recorded.append(entry),
        )
    assert "batch size 7" in str(caught.value)
    assert caught.value.exit_code == 5
    assert not (tmp_path / "new").exists()
    assert recorded == []


def test_failed_parity_keeps_an_earlier_export(tmp_path: Path) -> None:
    write(tmp_path, sampler_case())
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(CheckFailedError):
        write(tmp_path, wrong_case())
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_network_that_cannot_be_exported_fails_the_check(tmp_path: Path) -> None:
    class MissingModule(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return getattr(self, "mis" + "sing")(images)

    case = dataclasses.replace(sampler_case(), module=MissingModule())
    for format_ in ("onnx", "torchscript"):
        with pytest.raises(CheckFailedError, match="MissingModule"):
            write(tmp_path / format_, case, formats=(format_,))


def test_earlier_file_that_is_not_replaced_stays_listed(tmp_path: Path) -> None:
    write(tmp_path, generator_case(), formats=("torchscript",))
    write(tmp_path, sampler_case())
    sums = (tmp_path / "SHA256SUMS").read_text()
    assert [line.split()[1] for line in sums.splitlines()] == [
        "generator.ts",
        "sampler.onnx",
        "manifest.json",
        "MODEL_CARD.md",
    ]


def test_damaged_earlier_file_is_not_listed_and_warned_about(tmp_path: Path) -> None:
    (tmp_path / "generator.onnx").write_bytes(b"not ours")
    events: list[Any] = []
    write(tmp_path, sampler_case(), listener=events.append)
    assert "generator" not in (tmp_path / "SHA256SUMS").read_text()
    assert (tmp_path / "generator.onnx").read_bytes() == b"not ours"
    (warning,) = [event for event in events if isinstance(event, Warned)]
    assert "not listed in SHA256SUMS" in warning.message


@pytest.mark.parametrize("failing", [1, 2, 3])
def test_full_disk_keeps_the_earlier_export(
    failing: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, sampler_case())
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    real = os.fsync
    files: list[Path] = []

    def full(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        files.extend([path] if path.is_file() else [])
        if len(files) == failing:
            raise OSError(28, "No space left on device")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="No space left"):
        write(tmp_path, sampler_case(labels=77))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_folder_that_cannot_be_created_raises_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot create"):
        write(tmp_path / "file" / "artifacts", sampler_case())


def test_parity_is_measured_on_pool_images(tmp_path: Path) -> None:
    case = sampler_case()
    seen: list[np.ndarray] = []
    pool = np.full((2, 8, 8, 3), 9, np.uint8)

    class RecordingSampler(Sampler):
        def forward(self, images: torch.Tensor) -> Any:
            if not torch.jit.is_tracing() and not torch.compiler.is_exporting():
                seen.append(images.numpy().copy())
            return super().forward(images)

    module = RecordingSampler()
    module.load_state_dict(case.module.state_dict())
    spec = dataclasses.replace(case.spec, images=pool)
    write(tmp_path, dataclasses.replace(case, module=module, spec=spec))
    assert {len(images) for images in seen} == {1, 2, 7, 3}  # 3: the exporter measures map sizes
    assert all((images == 9).all() for images in seen)


def pool(count: int) -> np.ndarray:
    rows = np.arange(count)[:, None, None, None]
    ramp = np.linspace(0, 1, 8)[None, :, None, None] + 0.3 * np.linspace(0, 1, 8)[:, None]
    base = 128 + 100 * np.sin(0.37 * rows + np.arange(3))
    return np.clip(base + 60 * np.cos(0.11 * rows) * ramp, 0, 255).astype(np.uint8)


def write_int8(folder: Path, case: Case, images: np.ndarray | None) -> list[WrittenArtifact]:
    return write_artifacts(
        [ExportJob(module=case.module, spec=case.spec, pool=images), job(generator_case())],
        formats=("onnx",),
        folder=folder,
        record_artifact=lambda *_: None,
        is_quantized=True,
    )


def test_int8_sampler_is_written_with_its_ranking_agreement(tmp_path: Path) -> None:
    exact, _, quantized = write_int8(tmp_path, sampler_case(), pool(400))
    assert quantized.path.name == "sampler.int8.onnx"
    assert quantized.agreement is not None
    assert 0.99 <= quantized.agreement.spearman < 1.0
    assert quantized.agreement.images == 200
    manifest = start_engine(read_artifact(quantized.path, role="sampler")).manifest
    assert manifest.precision == "int8"
    assert manifest.agreement["spearman"] == quantized.agreement.spearman
    assert set(manifest.parity["7"]) == {"score", "p_unlabeled", "probabilities", "features"}
    assert exact.agreement is None
    assert start_engine(read_artifact(exact.path)).manifest.precision == "float32"
    assert "sampler.int8.onnx" in (tmp_path / "SHA256SUMS").read_text()
    assert "Ranking of `sampler.int8.onnx`" in (tmp_path / "MODEL_CARD.md").read_text()


def test_int8_export_that_changes_the_ranking_writes_no_file(tmp_path: Path) -> None:
    case = dataclasses.replace(sampler_case(), module=Fragile())
    with pytest.raises(CheckFailedError, match=r"sampler\.int8\.onnx was not written.*Spearman"):
        write_int8(tmp_path / "new", case, pool(400))
    assert not (tmp_path / "new").exists()


class FragileOnSmallMap(Fragile):
    """A sampler whose layer on a map of 2 x 2 pixels is inaccurate in int8."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Conv2d(6, 2, 3, padding=1, bias=False)
        with torch.no_grad():
            self.last.weight.copy_(self.wide.weight.expand(-1, -1, 3, 3) / 9)

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        _, *others = super().forward(images)
        pixels = images.permute(0, 3, 1, 2).to(torch.float32) / 255.0
        small = nn.functional.avg_pool2d(pixels, 4)
        x = self.last(torch.cat([small, 1.0 - small], 1))
        return x[:, 1].mean((1, 2)), *others


def int8_convolutions(path: Path) -> int:
    model = onnx.load(path)
    rounded = {
        name for n in model.graph.node if n.op_type == "DequantizeLinear" for name in n.output
    }
    return sum(n.op_type == "Conv" and n.input[0] in rounded for n in model.graph.node)


def test_small_maps_stay_float_if_int8_changes_the_top_images(tmp_path: Path) -> None:
    case = dataclasses.replace(sampler_case(), module=FragileOnSmallMap())
    *_, quantized = write_int8(tmp_path, case, pool(400))
    assert quantized.agreement is not None
    assert quantized.agreement.top_overlap >= 0.97
    # the trunk has three; the one on pixels stays float
    assert int8_convolutions(quantized.path) == 2
    manifest = dataclasses.replace(case.spec.manifest, precision="int8")
    spec = dataclasses.replace(case.spec, manifest=manifest)
    all_int8 = engine_of(quantize(to_onnx.export(case.module, spec), pool(400)), manifest)
    exact = EagerEngine(case.module, manifest)
    scores = [engine.run({"images": pool(400)})["score"] for engine in (exact, all_int8)]
    assert compare_rankings(*scores, min_spearman=-1).top_overlap < 0.97


def test_small_maps_become_int8_if_the_top_images_are_the_same(tmp_path: Path) -> None:
    module = FragileOnSmallMap()
    with torch.no_grad():
        module.last.weight[0] /= 1e4  # channels of equal scale: rounding loses nothing
    case = dataclasses.replace(sampler_case(), module=module)
    *_, quantized = write_int8(tmp_path, case, pool(400))
    assert int8_convolutions(quantized.path) == 3


@pytest.mark.parametrize("images", [None, pool(99)])
def test_int8_export_requires_at_least_100_pool_images(
    images: np.ndarray | None, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="at least 100 images"):
        write_int8(tmp_path, sampler_case(), images)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("make", [sampler_case, generator_case, classifier_case])
def test_model_card_code_runs_without_torch(make: Any, channels: int, tmp_path: Path) -> None:
    from PIL import Image

    case = make(channels)
    write(tmp_path, case)
    pixels = np.arange(20 * 30 * 3, dtype=np.uint8).reshape(20, 30, 3)
    Image.fromarray(pixels).save(tmp_path / "image.png")
    card = (tmp_path / "MODEL_CARD.md").read_text()
    code = card.split("```python\n")[1].split("```")[0]
    code += (
        "\nimport sys, json"
        "\nassert 'torch' not in sys.modules"
        "\nprint(json.dumps({k: list(v.shape) for k, v in result.items()}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    shapes = json.loads(done.stdout)
    assert shapes == {info.name: [1, *info.shape[1:]] for info in case.spec.manifest.outputs}

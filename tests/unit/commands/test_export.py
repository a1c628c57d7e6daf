import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from dgaal_cli import cli
from dgaal_cli.api import export as workflow
from dgaal_cli.artifacts.folder import WrittenArtifact
from exporters.quantize import Agreement

TOML = 'version = 1\n[pool]\nsource = "pool"\n'


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Replace the workflow; return the list of its calls."""
    recorded_calls: list[dict[str, Any]] = []

    def fake_export(workspace: Any, config: Any, **options: Any) -> workflow.ExportResult:
        recorded_calls.append({"root": workspace.root, "method": config.method, **options})
        exact = WrittenArtifact(
            path=tmp_path / "sampler.onnx",
            role="sampler",
            format="onnx",
            size_bytes=1_234_567,
            sha256=b"\xab" * 32,
            largest_difference=1.25e-6,
            agreement=None,
            seconds=2.34,
        )
        quantized = WrittenArtifact(
            path=tmp_path / "sampler.int8.onnx",
            role="sampler",
            format="onnx",
            size_bytes=300_000,
            sha256=b"\xcd" * 32,
            largest_difference=0.5,
            agreement=Agreement(spearman=0.9987, top_overlap=0.96, images=400),
            seconds=1.0,
        )
        return workflow.ExportResult(folder=tmp_path / "\x1b[2J", artifacts=(exact, quantized))

    monkeypatch.setattr(workflow, "export", fake_export)
    (tmp_path / "dgaal.toml").write_text(TOML)
    return recorded_calls


def run(folder: Path, *arguments: str) -> Any:
    done = CliRunner().invoke(cli.app, ["-C", str(folder), *arguments])
    assert done.exit_code == 0, done.output
    return done


@pytest.mark.parametrize(
    ("flags", "formats", "is_quantized"),
    [
        ([], ["onnx", "torchscript"], False),
        (["--onnx"], ["onnx"], False),
        (["--torchscript"], ["torchscript"], False),
        (["--onnx", "--torchscript"], ["onnx", "torchscript"], False),
        (["--int8", "--onnx"], ["onnx"], True),
        (["--int8"], ["onnx", "torchscript"], True),
    ],
)
def test_format_flags_select_formats_and_default_to_both(
    calls: list[dict[str, Any]],
    tmp_path: Path,
    flags: list[str],
    formats: list[str],
    is_quantized: bool,
) -> None:
    run(tmp_path, "export", *flags)
    (call,) = calls
    assert call["formats"] == formats
    assert call["is_quantized"] is is_quantized
    assert call["output"] is None
    assert call["device"] == "auto"
    assert call["root"] == tmp_path


def test_output_folder_is_relative_to_the_current_directory(
    calls: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run(tmp_path, "export", "-o", "out", "--device", "cpu")
    assert calls[0]["output"] == tmp_path / "out"
    assert calls[0]["device"] == "cpu"


def test_output_lists_each_artifact_with_size_parity_and_time(
    calls: list[dict[str, Any]], tmp_path: Path
) -> None:
    exact, quantized = run(tmp_path, "export").stdout.splitlines()
    assert " ".join(exact.split()) == "sampler.onnx 1.23 MB largest difference 1.3e-06 2.3 s"
    assert "Spearman 0.9987, top-5% overlap 0.96" in quantized


@pytest.mark.parametrize(
    ("role", "expected"),
    [("sampler", "score SOURCE"), ("generator", "generate -o DIR"), ("classifier", "")],
)
def test_next_step_depends_on_the_role_of_the_artifact(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, role: str, expected: str
) -> None:
    artifact = WrittenArtifact(
        path=tmp_path / f"{role}.onnx",
        role=role,  # type: ignore[arg-type]
        format="onnx",
        size_bytes=1,
        sha256=bytes(32),
        largest_difference=0.0,
        agreement=None,
        seconds=0.1,
    )
    result = workflow.ExportResult(folder=tmp_path, artifacts=(artifact,))
    monkeypatch.setattr(workflow, "export", lambda *_, **__: result)
    (tmp_path / "dgaal.toml").write_text(TOML)
    lines = [line for line in run(tmp_path, "export").output.splitlines() if "next:" in line]
    assert len(lines) == bool(expected)
    assert all(line.endswith(expected) for line in lines)


def test_torchscript_deprecation_is_reported_once_and_only_for_torchscript(
    calls: list[dict[str, Any]], tmp_path: Path
) -> None:
    assert run(tmp_path, "export").stderr.count("deprecates") == 1
    assert "deprecates" not in run(tmp_path, "export", "--onnx").stderr


def test_json_output_is_one_document_with_stable_keys(
    calls: list[dict[str, Any]], tmp_path: Path
) -> None:
    document = json.loads(run(tmp_path, "--json", "export").stdout)
    exact, quantized = document["artifacts"]
    assert exact["sha256"] == "ab" * 32
    assert exact["agreement"] is None
    assert quantized["agreement"]["spearman"] == 0.9987
    assert set(exact) == {
        "file",
        "role",
        "format",
        "size_bytes",
        "sha256",
        "largest_difference",
        "agreement",
        "seconds",
    }


def test_output_escapes_control_characters_in_folder_name(
    calls: list[dict[str, Any]], tmp_path: Path
) -> None:
    assert "\x1b" not in run(tmp_path, "export").output

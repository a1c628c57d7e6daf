"""What `doctor` reports about NVIDIA GPUs and the CUDA libraries of ONNX Runtime."""

import tomllib
from pathlib import Path

import pytest

from dgaal_cli.api import doctor as module
from dgaal_cli.runtime import onnx_session


@pytest.mark.parametrize(
    ("devices", "has_cuda", "printed", "level", "expected"),
    [
        (0, True, "", "ok", "the driver shows no CUDA device"),
        (2, True, "", "ok", "2 CUDA devices"),
        (1, False, "", "missing", "this onnxruntime has no CUDA"),
        (1, True, "Failed to load libcudnn.so.9", "missing", "libcudnn.so.9"),
    ],
)
def test_missing_cuda_library_is_reported_with_its_install_command(
    monkeypatch: pytest.MonkeyPatch,
    devices: int,
    has_cuda: bool,
    printed: str,
    level: str,
    expected: str,
) -> None:
    monkeypatch.setattr(module, "count_cuda_devices", lambda: devices)
    monkeypatch.setattr(onnx_session, "has_cuda", lambda: has_cuda)
    monkeypatch.setattr(onnx_session, "preload_cuda", lambda: printed)
    finding = module._onnx_cuda()
    assert finding.level == level
    assert expected in finding.found
    assert finding.remedy == ("python -m pip install 'dgaal[cuda]'" if level != "ok" else "")


def test_cuda_extra_exists_in_pyproject() -> None:
    document = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())
    (requirement,) = document["project"]["optional-dependencies"]["cuda"]
    assert requirement.startswith("onnxruntime-gpu[cuda,cudnn]")
    assert "x86_64" in requirement

import io
import zipfile

import pytest
import torch
from formula_nets import sampler_case
from torch import nn

from exporters import onnx_wire
from exporters.chatter import ExportError
from exporters.embedded import KEY, embed, read_manifest
from exporters.manifest import ManifestError
from exporters.to_onnx import export

DOCUMENT = sampler_case().spec.manifest.to_json().encode()
MODEL = b"\x08\x0a"  # only ir_version 10


def archive(*names: str, data: bytes = DOCUMENT) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as target:
        for name in names:
            target.writestr(name, data)
    return buffer.getvalue()


def test_file_without_manifest_is_refused() -> None:
    with pytest.raises(ManifestError, match="exactly one manifest"):
        read_manifest(MODEL, "onnx")
    with pytest.raises(ManifestError, match="exactly one manifest"):
        read_manifest(archive("archive/data.pkl"), "torchscript")


def test_file_with_two_manifests_is_refused() -> None:
    once = onnx_wire.with_metadata(MODEL, KEY, DOCUMENT)
    twice = once + once[len(MODEL) :]
    assert [key for key, _ in onnx_wire.metadata(twice)] == [KEY, KEY]
    with pytest.raises(ManifestError, match="exactly one manifest"):
        read_manifest(twice, "onnx")
    with pytest.raises(ManifestError, match="exactly one manifest"):
        read_manifest(archive(f"a/extra/{KEY}", f"b/extra/{KEY}"), "torchscript")


def test_oversized_compressed_manifest_is_refused() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as target:
        target.writestr(f"archive/extra/{KEY}", b" " * (9 * 1024 * 1024))
    assert len(buffer.getvalue()) < 100_000
    with pytest.raises(ManifestError, match="exactly one manifest"):
        read_manifest(buffer.getvalue(), "torchscript")


@pytest.mark.parametrize("data", [b"", b"no archive", archive("a")[:-5]])
def test_data_that_is_not_an_archive_is_refused(data: bytes) -> None:
    with pytest.raises(ManifestError):
        read_manifest(data, "torchscript")


@pytest.mark.parametrize("data", [b"\xff", b"\x3b", b"\x72\x05a", b"\x70\x01"])
def test_data_that_is_not_a_model_is_refused(data: bytes) -> None:
    with pytest.raises(ManifestError):
        read_manifest(data, "onnx")


def test_debug_records_with_source_paths_are_dropped() -> None:
    data = archive("archive/code/net.py", "archive/code/net.py.debug_pkl", "archive/data.pkl")
    with zipfile.ZipFile(io.BytesIO(embed(data, sampler_case().spec.manifest, "torchscript"))) as z:
        assert z.namelist() == [f"archive/extra/{KEY}", "archive/code/net.py", "archive/data.pkl"]
        assert z.read("archive/data.pkl") == DOCUMENT


def test_model_above_the_size_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from exporters import to_onnx

    monkeypatch.setattr(to_onnx, "MAX_BYTES", 1000)
    case = sampler_case()
    with pytest.raises(ExportError, match="exceeds 2 GiB"):
        export(case.module, case.spec)


class Constant(nn.Module):
    """Its outputs have no batch dimension."""

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        one = torch.ones(3)
        return one, one, torch.ones(3, 4), torch.ones(3, 6)


def test_output_without_a_dynamic_batch_is_refused() -> None:
    with pytest.raises(ExportError, match="fixed the batch size of 'score'"):
        export(Constant(), sampler_case().spec)

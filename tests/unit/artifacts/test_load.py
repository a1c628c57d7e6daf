"""Loading artifacts: refused files, and refusals that import no runtime."""

import dataclasses
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from formula_nets import sampler_case
from sealed_artifacts import sealed
from unsealing import unsealed

from dgaal_cli.artifacts.artifact_bytes import check_artifact, read_artifact
from dgaal_cli.artifacts.engines.load import load_engine_bytes, start_engine
from dgaal_cli.errors import ArtifactError, StorageError, TrustError, UsageError
from exporters import seal
from exporters.embedded import KEY
from exporters.registry import SUFFIXES
from exporters.to_onnx import export

# Prints the exit code, the message, and the heavy modules imported so far.
PROBE = """
import json, sys
from pathlib import Path
from dgaal_cli.artifacts.artifact_bytes import read_artifact
from dgaal_cli.artifacts.engines.load import start_engine
from dgaal_cli.errors import DgaalError
try:
    artifact = read_artifact(Path(sys.argv[1]), role=sys.argv[2])
    start_engine(artifact, is_trusted=sys.argv[3] == "trusted")
    outcome = [0, ""]
except DgaalError as error:
    outcome = [error.exit_code, str(error)]
heavy = {"torch", "onnxruntime", "onnx", "numpy.ma", "PIL"} & set(sys.modules)
print(json.dumps([*outcome, sorted(heavy)]))
"""


def probe(path: Path, role: str = "sampler", trusted: str = "") -> tuple[int, str, list[str]]:
    done = subprocess.run(
        [sys.executable, "-c", PROBE, str(path), role, trusted],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert done.stderr == ""
    code, text, heavy = json.loads(done.stdout)
    return code, text, heavy


def flipped(data: bytes, position: int) -> bytes:
    return data[:position] + bytes((data[position] ^ 1,)) + data[position + 1 :]


def future(format_: str) -> bytes:
    document = json.loads(sampler_case().spec.manifest.to_json()) | {"schema": 3}
    text = json.dumps(document, sort_keys=True).encode()
    body = unsealed(sealed("sampler", format_), format_)
    if format_ == "onnx":
        from exporters.onnx_wire import with_metadata

        return seal.seal(with_metadata(body, KEY, text), format_)
    from exporters.embedded import _repacked

    return seal.seal(_repacked(body, text), format_)


DAMAGES = {
    "flipped": lambda data, format_: flipped(data, len(data) // 2),
    "cut": lambda data, format_: data[:-1],
    "extra": lambda data, format_: data + b"\0",
    "empty": lambda data, format_: b"",
    "unsealed": unsealed,
    "foreign": lambda data, format_: b"\x80\x04cos\nsystem\n",
    "future": lambda data, format_: future(format_),
    "role": lambda data, format_: sealed("generator", format_),
}


@pytest.mark.parametrize("format_", SUFFIXES)
@pytest.mark.parametrize("damage", DAMAGES)
def test_bad_file_exits_with_4_and_imports_no_runtime(
    format_: str, damage: str, tmp_path: Path
) -> None:
    path = tmp_path / f"sampler{SUFFIXES[format_]}"
    path.write_bytes(DAMAGES[damage](sealed("sampler", format_), format_))
    code, text, heavy = probe(path, trusted="trusted")
    assert (code, heavy) == (4, [])
    assert "sampler" in text
    if damage == "future":
        assert "schema 3, this version reads up to 2" in text


def test_torchscript_without_trust_exits_with_7_and_imports_no_torch(tmp_path: Path) -> None:
    path = tmp_path / "sampler.ts"
    path.write_bytes(sealed("sampler", "torchscript"))
    code, text, heavy = probe(path)
    assert (code, heavy) == (7, [])
    assert "--trust-torchscript" in text


def test_onnx_file_is_loaded_silently_and_without_torch(tmp_path: Path) -> None:
    path = tmp_path / "sampler.onnx"
    path.write_bytes(sealed("sampler", "onnx"))
    code, _, heavy = probe(path)
    assert code == 0
    assert "onnxruntime" in heavy
    assert not {"torch", "onnx"} & set(heavy)


def test_is_trusted_is_called_with_the_digest_of_the_file() -> None:
    data, digests = sealed("sampler", "torchscript"), []

    def is_trusted(digest: bytes) -> bool:
        digests.append(digest)
        return True

    load_engine_bytes(data, format="torchscript", device="cpu", is_trusted=is_trusted)
    assert digests == [hashlib.sha256(data).digest()]
    with pytest.raises(TrustError):
        load_engine_bytes(data, format="torchscript", is_trusted=lambda digest: False)
    load_engine_bytes(sealed("sampler", "onnx"), format="onnx", is_trusted=pytest.fail)


def test_damaged_file_is_refused_before_the_trust_check() -> None:
    with pytest.raises(ArtifactError):
        load_engine_bytes(
            sealed("sampler", "torchscript")[:-1], format="torchscript", is_trusted=pytest.fail
        )


def test_file_with_the_suffix_of_another_format_is_refused(tmp_path: Path) -> None:
    for name, format_ in (("a.onnx", "torchscript"), ("b.ts", "onnx")):
        path = tmp_path / name
        path.write_bytes(sealed("sampler", format_))
        with pytest.raises(ArtifactError, match="not written by 'dgaal export'"):
            start_engine(read_artifact(path), is_trusted=True)


def test_path_that_is_not_an_artifact_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist; write one"):
        read_artifact(tmp_path / "absent.onnx")
    (tmp_path / "folder.onnx").mkdir()
    with pytest.raises(ArtifactError, match="is a folder"):
        read_artifact(tmp_path / "folder.onnx")
    os.mkfifo(tmp_path / "pipe.onnx")
    with pytest.raises(ArtifactError, match="is not a regular file"):
        read_artifact(tmp_path / "pipe.onnx")
    (tmp_path / "weights.pt").write_bytes(b"PK")
    with pytest.raises(ArtifactError, match=r"give a \.onnx or \.ts file"):
        read_artifact(tmp_path / "weights.pt")
    loop = tmp_path / "loop.onnx"
    loop.symlink_to(loop)
    with pytest.raises(StorageError, match="cannot read"):
        read_artifact(loop)


def test_error_escapes_control_characters_in_file_name(tmp_path: Path) -> None:
    path = tmp_path / "\x1b]52;c;QQ==\x07[b].onnx"
    path.write_bytes(b"")
    with pytest.raises(ArtifactError) as caught:
        read_artifact(path)
    assert "\\u{1b}]52" in str(caught.value)
    assert "\x1b" not in str(caught.value)


def test_sealed_file_whose_outputs_differ_from_its_manifest_is_refused() -> None:
    case = sampler_case()
    outputs = tuple(reversed(case.spec.manifest.outputs))
    wrong_manifest = dataclasses.replace(case.spec.manifest, outputs=outputs)
    from exporters.embedded import embed

    data = seal.seal(embed(export(case.module, case.spec), wrong_manifest, "onnx"), "onnx")
    with pytest.raises(ArtifactError, match="inputs or outputs of the artifact do not match"):
        load_engine_bytes(data, format="onnx", device="cpu")


def test_sealed_file_that_onnxruntime_refuses_raises_artifact_error() -> None:
    from exporters.onnx_wire import with_metadata

    manifest = sampler_case().spec.manifest.to_json().encode()
    data = seal.seal(with_metadata(b"\x08\x0a", KEY, manifest), "onnx")
    with pytest.raises(ArtifactError, match="is intact, but onnxruntime"):
        load_engine_bytes(data, format="onnx", device="cpu")


def test_check_artifact_returns_digest_and_manifest() -> None:
    data = sealed("classifier", "onnx")
    artifact = check_artifact(data, format_="onnx", role="classifier")
    assert artifact.sha256 == hashlib.sha256(data).digest()
    assert artifact.manifest.classes == ("cat", "dog", "owl", "[/b]")
    assert repr(data[:20]) not in repr(artifact)

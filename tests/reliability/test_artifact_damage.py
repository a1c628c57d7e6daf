"""G9 and G13: damaged, swapped and foreign artifacts are refused before they are parsed.

Each check has a negative control: without the guard the same input is accepted.
"""

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from formula_nets import CASES_BY_ROLE, info, manifest
from onnx import TensorProto, helper
from sealed_artifacts import sealed

from dgaal_cli.artifacts.artifact_bytes import read_artifact
from dgaal_cli.artifacts.engines.load import start_engine
from exporters import embedded, seal
from exporters.registry import SUFFIXES

# Loads every given file; prints exit code and message of each, and the imported parsers.
REFUSALS = """
import json, sys
from pathlib import Path
from dgaal_cli.artifacts.artifact_bytes import read_artifact
from dgaal_cli.artifacts.engines.load import start_engine
from dgaal_cli.errors import DgaalError
outcomes = []
for line in sys.stdin:
    path, role, trusted = json.loads(line)
    try:
        start_engine(read_artifact(Path(path), role=role), is_trusted=trusted)
        outcomes.append([0, ""])
    except DgaalError as error:
        outcomes.append([error.exit_code, str(error)])
parsers = sorted({"torch", "onnxruntime", "onnx"} & set(sys.modules))
print(json.dumps([outcomes, parsers]))
"""

DGAAL = [sys.executable, "-c", "from dgaal_cli.cli import main; main()"]


def refusals(
    files: list[Path], *, role: str = "sampler", is_trusted: bool = True
) -> tuple[list[list[Any]], list[str]]:
    """Return exit code and message of each file, and the parsers that the process imported."""
    requests = "".join(json.dumps([str(path), role, is_trusted]) + "\n" for path in files)
    done = subprocess.run(
        [sys.executable, "-c", REFUSALS], input=requests, capture_output=True, text=True, check=True
    )
    outcomes, parsers = json.loads(done.stdout)
    assert len(outcomes) == len(files)
    return outcomes, parsers


def flips(data: bytes, count: int, seed: int) -> Iterator[bytes]:
    generator = random.Random(seed)
    for _ in range(count):
        position = generator.randrange(8 * len(data))
        damaged = bytearray(data)
        damaged[position // 8] ^= 1 << position % 8
        yield bytes(damaged)


def truncations(data: bytes) -> Iterator[bytes]:
    for length in {0, 1, len(data) - 1, len(data) - 64, *range(0, len(data), 4096)}:
        yield data[:length]


def additions(data: bytes) -> Iterator[bytes]:
    for extra in (b"\0", b"\n", b"PK\x05\x06", data[-64:], data):
        yield data + extra
        yield extra + data
    yield data[:100] + b"\0" + data[100:]


def write_all(folder: Path, variants: Iterator[bytes], suffix: str) -> list[Path]:
    paths: list[Path] = []
    for position, content in enumerate(variants):
        path = folder / f"{position:05d}{suffix}"
        path.write_bytes(content)
        paths.append(path)
    return paths


def assert_all_refused(files: list[Path], codes: set[int], **options: Any) -> None:
    outcomes, parsers = refusals(files, **options)
    assert {code for code, _ in outcomes} == codes
    assert parsers == []


@pytest.mark.parametrize("format_", SUFFIXES)
@pytest.mark.parametrize("role", CASES_BY_ROLE)
@pytest.mark.parametrize("count", [200, pytest.param(1000, marks=pytest.mark.deep)])
def test_flipped_bit_is_refused_before_parsing(
    format_: str, role: str, count: int, tmp_path: Path, seed: int
) -> None:
    files = write_all(tmp_path, flips(sealed(role, format_), count, seed), SUFFIXES[format_])
    assert_all_refused(files, {4}, role=role)


@pytest.mark.parametrize("format_", SUFFIXES)
@pytest.mark.parametrize("role", CASES_BY_ROLE)
def test_truncated_or_extended_file_is_refused_before_parsing(
    format_: str, role: str, tmp_path: Path
) -> None:
    data = sealed(role, format_)
    files = write_all(
        tmp_path / "", iter([*truncations(data), *additions(data)]), SUFFIXES[format_]
    )
    assert len(files) > 14
    assert_all_refused(files, {4}, role=role)


def test_swapped_file_is_refused_before_parsing(tmp_path: Path) -> None:
    swapped = 0
    for role in CASES_BY_ROLE:
        files: list[Path] = []
        for name, suffix in SUFFIXES.items():
            for other_role in CASES_BY_ROLE:
                for other_format in SUFFIXES:
                    if (other_role, other_format) == (role, name):
                        continue
                    path = tmp_path / f"{role}-{other_role}-{other_format}{suffix}"
                    path.write_bytes(sealed(other_role, other_format))
                    files.append(path)
        assert_all_refused(files, {4}, role=role)
        swapped += len(files)
    assert swapped == 30


@pytest.mark.parametrize("format_", SUFFIXES)
def test_artifact_with_swapped_class_names_is_refused(format_: str, tmp_path: Path) -> None:
    data = sealed("sampler", format_)
    assert data.count(b'["cat", "dog", "owl"') == 1
    swapped = data.replace(b'["cat", "dog", "owl"', b'["dog", "cat", "owl"')
    files = write_all(tmp_path, iter([swapped]), SUFFIXES[format_])
    assert_all_refused(files, {4})


# Scores files with the check switched off, one line per file; a parser may crash the process.
UNGUARDED = """
import json, sys
from pathlib import Path
import numpy as np
from exporters import seal
from dgaal_cli.artifacts.artifact_bytes import read_artifact
from dgaal_cli.artifacts.engines.load import start_engine
seal.check = lambda data, format_: None
images = np.arange(7 * 192, dtype=np.uint8).reshape(7, 8, 8, 3)
for line in sys.stdin:
    try:
        engine = start_engine(read_artifact(Path(json.loads(line))), device="cpu", is_trusted=True)
        outcome = engine.run({"images": images})["score"].tolist()
    except Exception:
        outcome = None
    print(json.dumps(outcome), flush=True)
"""


def run_unguarded(files: list[Path]) -> list[list[float] | None]:
    """Return the scores of each file with the seal ignored; None where a parser failed."""
    outcomes: list[list[float] | None] = []
    while len(outcomes) < len(files):
        requests = "".join(json.dumps(str(path)) + "\n" for path in files[len(outcomes) :])
        done = subprocess.run(
            [sys.executable, "-c", UNGUARDED],
            input=requests,
            capture_output=True,
            text=True,
            check=False,
        )
        outcomes += [json.loads(line) for line in done.stdout.splitlines()]
        if done.returncode != 0:
            outcomes.append(None)
    return outcomes


@pytest.mark.parametrize("format_", SUFFIXES)
def test_control_without_seal_damaged_files_give_wrong_scores(
    format_: str, tmp_path: Path, seed: int
) -> None:
    """The same flips with the check switched off must change scores."""
    data = sealed("sampler", format_)
    files = write_all(tmp_path, iter([data, *flips(data, 60, seed)]), SUFFIXES[format_])
    expected, *others = run_unguarded(files)
    assert expected is not None
    wrong = [scores for scores in others if scores is not None and scores != expected]
    assert len(wrong) > 0


@pytest.mark.parametrize("format_", SUFFIXES)
def test_score_of_damaged_artifact_exits_with_4_and_one_sentence(
    format_: str, tmp_path: Path, seed: int
) -> None:
    path = tmp_path / f"sampler{SUFFIXES[format_]}"
    path.write_bytes(next(flips(sealed("sampler", format_), 1, seed)))
    done = subprocess.run(
        [*DGAAL, "score", "builtin:digits", "-a", str(path), "--trust-torchscript"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 4
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert "export it again" in done.stderr


@pytest.mark.parametrize("count", [100, pytest.param(1000, marks=pytest.mark.deep)])
def test_damaged_checkpoint_is_refused_before_parsing(
    tmp_path: Path, seed: int, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tensor file or state of another round is refused too; the intact one loads afterwards."""
    from dgaal_cli.errors import CheckpointError
    from dgaal_cli.training import checkpoint
    from dgaal_cli.training.checkpoint_folder import COMPLETE_NAME, STATE_NAME, TENSORS_NAME

    folder = tmp_path / "checkpoint"
    for number, name in enumerate(("checkpoint", "other")):
        tensors = {"classifier.weight": torch.arange(64.0) + number}
        checkpoint.save(tmp_path / name, tensors, {"step": number})
    parsed: list[str] = []
    sound = checkpoint.parse_tensors
    monkeypatch.setattr(
        checkpoint, "parse_tensors", lambda data: (parsed.append(""), sound(data))[1]
    )
    names = (
        TENSORS_NAME,
        STATE_NAME,
        COMPLETE_NAME,
    )
    for name in names:
        data = (folder / name).read_bytes()
        other = (tmp_path / "other" / name).read_bytes()
        for damaged in (*flips(data, count, seed), *truncations(data), *additions(data), other):
            if name == COMPLETE_NAME and damaged.strip() == data:
                continue  # an additional line end changes nothing
            (folder / name).write_bytes(damaged)
            with pytest.raises(CheckpointError):
                checkpoint.load(folder)
        (folder / name).unlink()
        with pytest.raises(CheckpointError):
            checkpoint.load(folder)
        (folder / name).write_bytes(data)
    assert parsed == []
    assert checkpoint.load(folder)[1]["step"] == 0
    assert parsed == [""]


# G13: models that read other files or run code

FLOAT = TensorProto.FLOAT
CANARY = np.array([41.0, 42.0, 43.0], np.float32)


def model_with_external_data(location: str) -> bytes:
    """Return a model whose three weights are in the file that ``location`` names."""
    weight = TensorProto(name="weight", data_type=FLOAT, dims=[3])
    weight.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", "0"), ("length", "12")):
        entry = weight.external_data.add()
        entry.key, entry.value = key, value
    graph = helper.make_graph(
        [helper.make_node("Identity", ["weight"], ["score"])],
        "graph",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["N", 8, 8, 3])],
        [helper.make_tensor_value_info("score", FLOAT, [3])],
        [weight],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])
    model.ir_version = 10
    return model.SerializeToString()


def sealed_by_attacker(body: bytes, format_: str = "onnx") -> bytes:
    """Seal a body with a manifest, as an attacker can: a digest proves integrity, not origin."""
    manifest_ = manifest("sampler", (info("score"),))
    return seal.seal(embedded.embed(body, manifest_, format_), format_)


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    path = tmp_path / "outside" / "canary.bin"
    path.parent.mkdir()
    path.write_bytes(CANARY.tobytes())
    inside = tmp_path / "model"
    inside.mkdir()
    (inside / "symlink.bin").symlink_to(path)
    os.link(path, inside / "hardlink.bin")
    (inside / "plain.bin").write_bytes(CANARY.tobytes())
    return path


def locations(canary: Path) -> dict[str, str]:
    return {
        "parent": "../outside/canary.bin",
        "absolute": str(canary),
        "symlink": "symlink.bin",
        "hardlink": "hardlink.bin",
        "plain": "plain.bin",
    }


def test_model_with_external_data_is_refused(canary: Path, tmp_path: Path) -> None:
    files: list[Path] = []
    for kind, location in locations(canary).items():
        body = model_with_external_data(location)
        for origin, content in (("foreign", body), ("sealed", sealed_by_attacker(body))):
            path = tmp_path / "model" / f"{kind}-{origin}.onnx"
            path.write_bytes(content)
            files.append(path)
    outcomes, parsers = refusals(files)
    assert {code for code, _ in outcomes} == {4}
    assert parsers == []  # so no parser can have opened the canary
    messages = [
        text for path, (_, text) in zip(files, outcomes, strict=True) if "sealed" in path.name
    ]
    assert all("keeps weights in another file" in text for text in messages)


def test_control_runtime_reads_external_data_of_a_given_path(canary: Path, tmp_path: Path) -> None:
    read = []
    for kind, location in locations(canary).items():
        path = tmp_path / "model" / f"{kind}.onnx"
        path.write_bytes(model_with_external_data(location))
        try:
            session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        except Exception:  # noqa: BLE001 - newer runtimes refuse some of them
            continue
        images = np.zeros((1, 8, 8, 3), np.uint8)
        if np.array_equal(session.run(["score"], {"images": images})[0], CANARY):
            read.append(kind)
    assert "hardlink" in read


class FileWriter(torch.nn.Module):
    """Writes a file to ``target`` when it is called."""

    def __init__(self, target: str) -> None:
        super().__init__()
        self.target = target

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        torch.save(images, self.target)
        return images.float().mean((1, 2, 3))


@pytest.mark.filterwarnings("ignore:.*torch.jit")
def writing_torchscript(target: Path) -> bytes:
    import io
    import warnings

    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(FileWriter(str(target))), buffer)
    return buffer.getvalue()


def foreign_files(folder: Path) -> list[Path]:
    """Write a foreign checkpoint, script and exported program under every suffix of artifacts."""
    import io
    import warnings

    pickled, exported = io.BytesIO(), io.BytesIO()
    torch.save({"weight": torch.ones(3)}, pickled)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.export.export(torch.nn.Linear(3, 1).eval(), (torch.ones(2, 3),))
        torch.export.save(program, exported)
    contents = {
        "checkpoint": pickled.getvalue(),
        "script": writing_torchscript(folder / "written"),
        "program": exported.getvalue(),
        "pickle": b"\x80\x04\x95\x0f\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94.",
    }
    files: list[Path] = []
    for name, content in contents.items():
        for suffix in (".onnx", ".ts", ".pt", ".pt2", ".pth", ""):
            path = folder / f"{name}{suffix}"
            path.write_bytes(content)
            files.append(path)
    return files


def test_unsealed_torch_files_are_refused_even_when_trusted(tmp_path: Path) -> None:
    assert_all_refused(foreign_files(tmp_path), {4}, is_trusted=True)
    assert not (tmp_path / "written").exists()


def test_sealed_torchscript_of_another_source_needs_trust(tmp_path: Path) -> None:
    path = tmp_path / "sampler.ts"
    path.write_bytes(sealed_by_attacker(writing_torchscript(tmp_path / "written"), "torchscript"))
    assert_all_refused([path], {7}, is_trusted=False)
    done = subprocess.run(
        [*DGAAL, "score", "builtin:digits", "-a", str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 7
    assert "--trust-torchscript" in done.stderr
    assert not (tmp_path / "written").exists()


def test_control_trusted_torchscript_runs_any_code(tmp_path: Path) -> None:
    path = tmp_path / "sampler.ts"
    path.write_bytes(sealed_by_attacker(writing_torchscript(tmp_path / "written"), "torchscript"))
    engine = start_engine(read_artifact(path), device="cpu", is_trusted=True)
    engine.run({"images": np.zeros((1, 8, 8, 3), np.uint8)})
    assert (tmp_path / "written").exists()


def test_operators_of_custom_libraries_are_refused_before_loading(tmp_path: Path) -> None:
    node = helper.make_node("EPContext", ["images"], ["score"], domain="com.microsoft")
    graph = helper.make_graph(
        [node],
        "graph",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["N", 8, 8, 3])],
        [helper.make_tensor_value_info("score", FLOAT, ["N"])],
    )
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("com.microsoft", 1)]
    model = onnx.helper.make_model(graph, opset_imports=opsets)
    path = tmp_path / "sampler.onnx"
    path.write_bytes(sealed_by_attacker(model.SerializeToString()))
    assert_all_refused([path], {4})

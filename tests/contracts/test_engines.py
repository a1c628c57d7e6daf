"""The contract of every engine in the registry and of the eager reference."""

from pathlib import Path

import numpy as np
import pytest
from formula_nets import CASES_BY_ROLE, Case
from sealed_artifacts import sealed

from dgaal_cli.artifacts.artifact_bytes import read_artifact
from dgaal_cli.artifacts.engines.base import Engine
from dgaal_cli.artifacts.engines.eager import EagerEngine
from dgaal_cli.artifacts.engines.load import ENGINES, load_engine_bytes, start_engine
from dgaal_cli.errors import ArtifactError, UsageError
from exporters.registry import FORMATS, SUFFIXES

KINDS = [*ENGINES, "eager"]


def start(kind: str, role: str = "sampler") -> Engine:
    if kind == "eager":
        case = CASES_BY_ROLE[role]()
        return EagerEngine(case.module, case.spec.manifest)
    return load_engine_bytes(sealed(role, kind), format=kind, device="cpu", is_trusted=True)


def case_of(role: str = "sampler") -> Case:
    return CASES_BY_ROLE[role]()


def test_every_export_format_has_an_engine() -> None:
    assert set(ENGINES) == set(FORMATS)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("role", CASES_BY_ROLE)
def test_outputs_match_the_manifest(kind: str, role: str) -> None:
    engine = start(kind, role)
    outputs = engine.run(case_of(role).spec.example(3))
    assert engine.manifest.role == role
    assert engine.device == "cpu"
    assert list(outputs) == [info.name for info in engine.manifest.outputs]
    for info in engine.manifest.outputs:
        assert outputs[info.name].shape == (3, *info.shape[1:])
        assert str(outputs[info.name].dtype) == info.dtype


@pytest.mark.parametrize("kind", KINDS)
def test_engines_agree_with_eager(kind: str) -> None:
    example = case_of().spec.example(5)
    expected, outputs = start("eager").run(example), start(kind).run(example)
    for name, values in expected.items():
        np.testing.assert_allclose(outputs[name], values, atol=1e-5)
    assert expected["score"].argmax() == outputs["score"].argmax()


@pytest.mark.parametrize("kind", KINDS)
def test_same_batch_gives_the_same_bits(kind: str) -> None:
    engine, example = start(kind), case_of().spec.example(7)
    first, second = engine.run(example), engine.run(example)
    for name in first:
        np.testing.assert_array_equal(first[name], second[name])


@pytest.mark.parametrize("kind", KINDS)
def test_read_only_and_strided_images_are_accepted_unchanged(kind: str) -> None:
    engine, images = start(kind), case_of().spec.example(6)["images"]
    expected = engine.run({"images": images[::2].copy()})["score"]
    images.setflags(write=False)
    before = images.copy()
    np.testing.assert_array_equal(engine.run({"images": images[::2]})["score"], expected)
    np.testing.assert_array_equal(images, before)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "inputs",
    [
        {},
        {"pictures": np.zeros((2, 8, 8, 3), np.uint8)},
        {"images": np.zeros((2, 8, 8, 3), np.float32)},
        {"images": np.zeros((2, 3, 8, 8), np.uint8)},
        {"images": np.zeros((8, 8, 3), np.uint8)},
        {"images": np.zeros((0, 8, 8, 3), np.uint8)},
        {"images": np.zeros((2, 8, 8, 1), np.uint8)},
        {"images": np.zeros((2, 8, 8, 3), np.uint8), "noise": np.ones((2, 5), np.float32)},
    ],
    ids=["none", "name", "dtype", "nchw", "unbatched", "empty", "channels", "extra"],
)
def test_inputs_that_do_not_match_the_manifest_are_refused(
    kind: str, inputs: dict[str, np.ndarray]
) -> None:
    with pytest.raises(ValueError, match=r"input.*sampler takes"):
        start(kind).run(inputs)


@pytest.mark.parametrize("kind", KINDS)
def test_inputs_of_different_lengths_are_refused(kind: str) -> None:
    example = case_of("generator").spec.example(3)
    with pytest.raises(ValueError, match="'noise'"):
        start(kind, "generator").run({**example, "noise": example["noise"][:2]})


@pytest.mark.parametrize("format_", ENGINES)
def test_file_is_loaded_by_its_suffix_and_may_be_a_link(format_: str, tmp_path: Path) -> None:
    path = tmp_path / f"sampler{SUFFIXES[format_]}"
    path.write_bytes(sealed("sampler", format_))
    link = tmp_path / f"latest{SUFFIXES[format_].upper()}"
    link.symlink_to(path)
    for name in (path, link):
        engine = start_engine(read_artifact(name, role="sampler"), device="auto", is_trusted=True)
        assert engine.run(case_of().spec.example(2))["score"].shape == (2,)


@pytest.mark.parametrize("format_", ENGINES)
def test_artifact_of_another_role_is_refused(format_: str, tmp_path: Path) -> None:
    path = tmp_path / f"sampler{SUFFIXES[format_]}"
    path.write_bytes(sealed("generator", format_))
    with pytest.raises(ArtifactError, match="is a generator, but a sampler is needed"):
        start_engine(read_artifact(path, role="sampler"), is_trusted=True)


@pytest.mark.parametrize("format_", ENGINES)
@pytest.mark.parametrize("device", ["cuda:99", "cuda:101"])
def test_missing_cuda_device_is_named(format_: str, device: str) -> None:
    with pytest.raises(UsageError, match=rf"device {device} .*use --device cpu"):
        load_engine_bytes(
            sealed("sampler", format_), format=format_, device=device, is_trusted=True
        )


@pytest.mark.parametrize("format_", ENGINES)
@pytest.mark.parametrize("device", ["", "gpu", "cuda:", "cuda:-1", "cuda:x", "cpu:0", "CUDA:\x1b"])
def test_unknown_device_is_escaped_in_the_error(format_: str, device: str) -> None:
    with pytest.raises(UsageError, match="use auto, cpu, cuda or cuda:N") as caught:
        load_engine_bytes(
            sealed("sampler", format_), format=format_, device=device, is_trusted=True
        )
    assert "\x1b" not in str(caught.value)

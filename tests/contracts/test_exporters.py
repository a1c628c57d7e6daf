"""The contract of every export format in the registry."""

import copy
import logging
import sys
import warnings

import numpy as np
import pytest
import torch
from formula_nets import Case, all_cases, info, manifest, sampler_case
from torch import nn

from dgaal_cli.artifacts.engines.eager import EagerEngine
from dgaal_cli.artifacts.engines.load import load_engine_bytes
from exporters import seal
from exporters.chatter import ExportError
from exporters.embedded import embed, read_manifest
from exporters.parity import ParityError, measure
from exporters.registry import FORMATS, SUFFIXES, load_exporter
from exporters.spec import ExportSpec

pytestmark = pytest.mark.parametrize("format_", FORMATS)


def run_exported(case: Case, format_: str, batch: int) -> dict[str, np.ndarray]:
    data = seal.seal(load_exporter(format_)(case.module, case.spec), format_)
    engine = load_engine_bytes(data, format=format_, device="cpu", is_trusted=True)
    return engine.run(case.spec.example(batch))


@pytest.mark.parametrize("case", all_cases(), ids=lambda case: case.name)
def test_exported_network_agrees_with_eager_at_every_batch_size(case: Case, format_: str) -> None:
    data = seal.seal(load_exporter(format_)(case.module, case.spec), format_)
    engine = load_engine_bytes(data, format=format_, device="cpu", is_trusted=True)
    reference = EagerEngine(case.module, case.spec.manifest)
    report = measure(reference.run, engine.run, case.spec, batch_sizes=(1, 2, 7, 64))
    assert list(report.differences) == ["1", "2", "7", "64"]
    assert report.largest <= 1.0 if case.name.startswith("generator") else report.largest < 1e-5


def test_export_does_not_change_the_module(format_: str) -> None:
    case = sampler_case()
    case.module.train()
    case.module.trunk.batch_norm.eval()
    before = copy.deepcopy(case.module.state_dict())
    load_exporter(format_)(case.module, case.spec)
    assert case.module.training
    assert case.module.dropout.training
    assert not case.module.trunk.batch_norm.training
    assert all(parameter.requires_grad for parameter in case.module.parameters())
    after = case.module.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_module_in_training_mode_is_exported_for_evaluation(format_: str) -> None:
    case = sampler_case()
    case.module.train()
    trained = run_exported(case, format_, 7)
    case.module.eval()
    expected = EagerEngine(case.module, case.spec.manifest).run(case.spec.example(7))
    np.testing.assert_allclose(trained["score"], expected["score"], atol=1e-5)


def test_export_prints_warns_and_logs_nothing(
    format_: str, capfd: pytest.CaptureFixture[str]
) -> None:
    case = sampler_case()
    level = logging.root.manager.disable
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        data = seal.seal(load_exporter(format_)(case.module, case.spec), format_)
        load_engine_bytes(data, format=format_, is_trusted=True).run(case.spec.example(2))
    assert [str(item.message) for item in caught] == []
    assert capfd.readouterr() == ("", "")
    assert logging.root.manager.disable == level


def test_manifest_is_embedded_and_can_be_replaced(format_: str) -> None:
    case = sampler_case()
    data = load_exporter(format_)(case.module, case.spec)
    assert read_manifest(data, format_) == case.spec.manifest
    changed = sampler_case(labels=41, classes=("a", "b", "c", "\u202ed")).spec.manifest
    again = embed(data, changed, format_)
    assert read_manifest(again, format_) == changed
    sealed = seal.seal(again, format_)
    assert load_engine_bytes(sealed, format=format_, is_trusted=True).manifest == changed


def test_artifact_has_no_paths_of_the_exporting_host(format_: str) -> None:
    case = sampler_case()
    data = load_exporter(format_)(case.module, case.spec)
    root = __file__.rsplit("/tests/", 1)[0].encode()
    assert root not in data
    assert sys.prefix.encode() not in data
    assert b"formula_nets.py" not in data


def test_scores_are_independent_of_the_batch(format_: str) -> None:
    case = sampler_case()
    together = run_exported(case, format_, 7)["score"]
    alone = run_exported(case, format_, 1)["score"]
    np.testing.assert_allclose(together[:1], alone, atol=1e-6)
    assert np.ptp(together) > 0.01  # the scores differ, so the comparison is meaningful


class Unexportable(nn.Module):
    """A module that refers to an attribute that does not exist."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return getattr(self, "mis" + "sing")(images)


def test_error_of_an_unexportable_module_names_it(format_: str) -> None:
    with pytest.raises(ExportError, match="Unexportable"):
        load_exporter(format_)(Unexportable(), sampler_case().spec)


class FixedBatch(nn.Module):
    """Converts to Python numbers: recording them fixes the batch size or fails."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.tensor(
            [float(str(value)) for value in images.float().mean((1, 2, 3)).tolist()]
        )


def test_control_fixed_batch_size_is_refused(format_: str) -> None:
    spec = ExportSpec(manifest=manifest("sampler", (info("score"),)))
    reference = EagerEngine(FixedBatch(), spec.manifest)

    def export_and_compare() -> None:
        data = seal.seal(load_exporter(format_)(FixedBatch(), spec), format_)
        engine = load_engine_bytes(data, format=format_, is_trusted=True)
        measure(reference.run, engine.run, spec)

    with pytest.raises((ExportError, ParityError)):
        export_and_compare()


def test_every_format_has_a_unique_suffix(format_: str) -> None:
    assert SUFFIXES[format_].startswith(".")
    assert len(set(SUFFIXES.values())) == len(SUFFIXES) == len(FORMATS)

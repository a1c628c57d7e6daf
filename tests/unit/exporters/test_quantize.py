import dataclasses
import logging

import numpy as np
import onnx
import pytest
import torch
from formula_nets import Fragile, Sampler, sampler_case
from sealed_artifacts import engine_of
from torch import Tensor, nn

from exporters import onnx_wire
from exporters.chatter import ExportError
from exporters.quantize import AgreementError, compare_rankings, quantize, split_pool
from exporters.to_onnx import export


def pictures(count: int) -> np.ndarray:
    """Return smooth color ramps that differ in every image."""
    rows = np.arange(count)[:, None, None, None]
    ramp = np.linspace(0, 1, 8)[None, :, None, None] + 0.3 * np.linspace(0, 1, 8)[:, None]
    base = 128 + 100 * np.sin(0.37 * rows + np.arange(3))
    return np.clip(base + 60 * np.cos(0.11 * rows) * ramp, 0, 255).astype(np.uint8)


def test_only_convolutions_become_int8_and_heads_stay_float() -> None:
    case = sampler_case()
    model = onnx.load_from_string(quantize(export(case.module, case.spec), pictures(100)))
    producers = {name: node for node in model.graph.node for name in node.output}
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    heads = [node for node in model.graph.node if node.op_type in ("Gemm", "MatMul")]
    assert len(convolutions) == 3
    assert len(heads) == 3
    names = {tensor.name: tensor for tensor in model.graph.initializer}
    first, *others = convolutions
    assert names[first.input[1]].data_type == onnx.TensorProto.FLOAT
    for node in others:
        assert producers[node.input[0]].op_type == "DequantizeLinear"
        assert producers[node.input[1]].op_type == "DequantizeLinear"
    for node in heads:
        assert names[node.input[1]].data_type == onnx.TensorProto.FLOAT


class Rectified(Sampler):
    """A sampler with a ReLU after a convolution and a ReLU in the head."""

    def __init__(self) -> None:
        super().__init__()
        self.wide = nn.Conv2d(6, 4, 3)
        self.dense = nn.Linear(4, 3)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        _, *others = super().forward(images)
        pixels = images.permute(0, 3, 1, 2).to(torch.float32) / 255.0
        x = torch.relu(self.wide(torch.cat([pixels, 1.0 - pixels], 1)))
        return torch.relu(self.dense(x.mean((2, 3)))).sum(1), *others


def test_relu_is_quantized_with_its_convolution_but_not_in_the_head() -> None:
    case = dataclasses.replace(sampler_case(), module=Rectified())
    model = onnx.load_from_string(quantize(export(case.module, case.spec), pictures(100)))
    producers = {name: node for node in model.graph.node for name in node.output}
    consumers = {name: node for node in model.graph.node for name in node.input}
    relus = [node for node in model.graph.node if node.op_type == "Relu"]
    for node in relus:
        assert producers[node.input[0]].op_type in ("Gemm", "Conv")
    dense = [n for n in relus if producers[n.input[0]].op_type == "Gemm"]
    assert [consumers[node.output[0]].op_type for node in dense] == ["ReduceSum"]
    # The other convolution with a ReLU reads the pixels and stays float.
    assert len(relus) - len(dense) == 1


def test_quantized_model_has_no_dependencies_and_no_host_paths() -> None:
    case = sampler_case()
    data = quantize(export(case.module, case.spec), pictures(100))
    onnx_wire.refuse_dependencies(data)
    assert onnx_wire.metadata(data) == []
    assert b"/tmp" not in data


def test_quantize_prints_and_logs_nothing(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    case = sampler_case()
    quantize(export(case.module, case.spec), pictures(100))
    assert capfd.readouterr() == ("", "")
    # torch logs at DEBUG once another test has set up its loggers
    assert [record for record in caplog.records if record.levelno > logging.DEBUG] == []


def test_quantize_refuses_data_that_is_not_a_model() -> None:
    with pytest.raises(ExportError, match="cannot quantize"):
        quantize(b"\xff\xff", pictures(10))


def test_equal_rankings_agree_at_any_scale() -> None:
    scores = np.sin(np.arange(200) * 1.7).astype(np.float32)
    agreement = compare_rankings(scores, 3 * scores + 7)
    assert agreement.spearman == pytest.approx(1.0)
    assert agreement.top_overlap == 1.0
    assert agreement.images == 200
    assert agreement.as_document()["spearman"] == agreement.spearman


def test_spearman_with_ties_equals_scipy() -> None:
    from scipy import stats

    left = np.array([1, 2, 2, 4, 5, 9, 7], np.float32)
    right = np.array([1, 3, 2, 2, 6, 7, 7], np.float32)
    expected = stats.spearmanr(left, right).statistic
    assert compare_rankings(left, right, min_spearman=-1).spearman == pytest.approx(expected)


def test_reversed_ranking_is_refused_with_its_figures() -> None:
    scores = np.arange(100, dtype=np.float32)
    with pytest.raises(AgreementError, match=r"Spearman -1\.0000 .*overlap 0\.00"):
        compare_rankings(scores, -scores)


def test_top_overlap_compares_the_five_percent_with_highest_score() -> None:
    scores = np.arange(100, dtype=np.float32)
    swapped = scores.copy()
    swapped[[99, 90]] = swapped[[90, 99]]  # one of the top five is replaced
    assert compare_rankings(scores, swapped).top_overlap == pytest.approx(0.8)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_scores_that_are_not_finite_are_refused(value: float) -> None:
    scores = np.arange(10, dtype=np.float32)
    with pytest.raises(AgreementError, match="not finite"):
        compare_rankings(scores, np.where(scores == 3, np.float32(value), scores))


def test_scores_that_are_all_equal_are_refused() -> None:
    scores = np.arange(10, dtype=np.float32)
    with pytest.raises(AgreementError, match=r"0\.0000"):
        compare_rankings(scores, np.ones(10, np.float32))


def test_split_pool_returns_disjoint_images_of_the_whole_pool() -> None:
    pool = np.arange(5000, dtype=np.uint16).view(np.uint8).reshape(5000, 1, 2, 1)
    calibration, held_out = (
        part.reshape(len(part), 2).copy().view(np.uint16)[:, 0] for part in split_pool(pool)
    )
    assert (len(calibration), len(held_out)) == (2000, 2000)
    assert not set(calibration) & set(held_out)
    assert calibration.max() > 4900
    assert held_out.max() > 4900
    assert (calibration.min(), held_out.min()) == (0, 1)


def test_network_that_is_inaccurate_in_int8_is_refused() -> None:
    case = dataclasses.replace(sampler_case(), module=Fragile())
    exact = export(case.module, case.spec)
    images = pictures(200)
    coarse = quantize(exact, images)
    left = engine_of(exact, case.spec.manifest).run({"images": images})["score"]
    right = engine_of(coarse, case.spec.manifest).run({"images": images})["score"]
    with pytest.raises(AgreementError):
        compare_rankings(left, right)

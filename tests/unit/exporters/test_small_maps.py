"""Convolutions on small maps are replaced by matrix products of equal value."""

from dataclasses import replace

import onnx
import onnxruntime
import pytest
import torch
from formula_nets import with_formula_weights
from torch import nn

from exporters.manifest import Manifest, TensorInfo
from exporters.small_maps import PatchProduct, is_rewritable, rewritten
from exporters.spec import ExportSpec
from exporters.to_onnx import export

SHAPES = [
    # kernel, stride, padding, height, width, has a bias
    (4, 2, 1, 4, 4, False),
    (3, 1, 1, 2, 2, True),
    (5, 2, 2, 4, 4, True),
    (2, 1, 0, 2, 2, False),
    ((3, 2), (2, 1), (1, 0), 4, 3, True),
    (3, 3, 0, 5, 4, True),
]


@pytest.mark.parametrize(("kernel", "stride", "padding", "height", "width", "bias"), SHAPES)
def test_patch_product_equals_the_convolution(
    kernel: int | tuple[int, int],
    stride: int | tuple[int, int],
    padding: int | tuple[int, int],
    height: int,
    width: int,
    bias: bool,
) -> None:
    convolution = nn.Conv2d(3, 5, kernel, stride, padding, bias=bias).eval()
    with_formula_weights(convolution)
    count = 7 * 3 * height * width
    maps = torch.sin(torch.arange(count) * 0.7).reshape(7, 3, height, width)
    expected = convolution(maps)
    got = PatchProduct(convolution)(maps)
    assert got.shape == expected.shape
    assert torch.allclose(got, expected, atol=1e-5)


class TwoConvolutions(nn.Module):
    """Two strided convolutions, 8 x 8 to 2 x 2, and one score for each image."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 4, 4, 2, 1, bias=False),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.Conv2d(4, 6, 4, 2, 1, bias=False),
            nn.BatchNorm2d(6),
            nn.ReLU(),
        )
        self.head = nn.Linear(24, 1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = images.permute(0, 3, 1, 2).to(torch.float32) / 255
        return self.head(self.body(x).flatten(1)).squeeze(1)


def spec(precision: str = "float32") -> ExportSpec:
    manifest = Manifest(
        role="sampler",
        method="vaal",
        input_size=8,
        channels=3,
        inputs=(TensorInfo(name="images", shape=("N", 8, 8, 3), dtype="uint8", meaning="pixels"),),
        outputs=(TensorInfo(name="score", shape=("N",), dtype="float32", meaning="score"),),
    )
    return ExportSpec(manifest=replace(manifest, precision=precision))


def test_only_small_maps_are_rewritten_and_the_module_is_unchanged() -> None:
    module = with_formula_weights(TwoConvolutions()).eval()
    images = torch.from_numpy(spec().example(5)["images"])
    changed = rewritten(module, (images,))
    assert isinstance(module.body[3], nn.Conv2d)
    assert isinstance(changed.get_submodule("body.0"), nn.Conv2d)
    assert isinstance(changed.get_submodule("body.3"), PatchProduct)
    assert torch.allclose(changed(images), module(images), atol=1e-6)


def test_convolution_also_used_on_a_large_map_is_not_rewritten() -> None:
    class Shared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.both = nn.Conv2d(3, 3, 3, 1, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.both(x).mean() + self.both(x[:, :, :2, :2]).mean()

    module = Shared().eval()
    assert rewritten(module, (torch.zeros(1, 3, 8, 8),)) is module


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(4, 4, 3, groups=2),
        nn.Conv2d(4, 4, 3, dilation=2),
        nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect"),
        nn.Conv2d(4, 4, 3, padding="same"),
        nn.Conv2d(4, 4, 1),
    ],
)
def test_unsupported_convolution_is_not_rewritable(layer: nn.Conv2d) -> None:
    assert not is_rewritable(layer)


def test_float32_export_uses_products_and_int8_export_convolutions() -> None:
    module = with_formula_weights(TwoConvolutions()).eval()
    for precision, convolutions, products in (("float32", 1, 1), ("int8", 2, 0)):
        data = export(module, spec(precision))
        kinds = [node.op_type for node in onnx.load_from_string(data).graph.node]
        assert (kinds.count("Conv"), kinds.count("MatMul")) == (convolutions, products)
        session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
        for batch in (1, 2, 7):
            images = spec().example(batch)["images"]
            expected = module(torch.from_numpy(images)).detach().numpy()
            assert abs(session.run(None, {"images": images})[0] - expected).max() < 1e-5

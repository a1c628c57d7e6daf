"""Quantize the convolutions of an ONNX model to int8, and measure the change of the ranking.

Only convolutions are quantized, and not those on pixels, which are the cheapest and the most
sensitive. Heads and scores stay float32, since rounded scores would give equal values to different
images. Ranges come from images of the pool and are cut at a percentile, since single outliers would
make all other values coarser. A ReLU after a quantized convolution is rounded together with it:
rounding before the ReLU as well loses precision.
"""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exporters.chatter import ExportError, contained

MIN_SPEARMAN = 0.99
"""Rank agreement with float32 below which a quantized sampler is refused."""

TOP_SHARE = 0.05
"""The share of the ranking that a query is likely to select from."""

GOOD_OVERLAP = 0.97
"""Overlap of the best 5 % from which queries of both samplers are nearly the same."""

_CALIBRATION_IMAGES = 512
_CALIBRATION_BATCH = 64
_PIXEL_CHANNELS = 3


class AgreementError(ValueError):
    """The quantized sampler ranks images differently."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """Rank agreement of a quantized sampler with the float32 one."""

    spearman: float
    """Rank correlation, -1..1."""
    top_overlap: float
    """Share of the float32 sampler's best 5 % that are in the quantized one's best 5 %."""
    images: int

    def as_document(self) -> dict[str, float]:
        """Return the values for the manifest."""
        return {
            "spearman": self.spearman,
            "top_5_percent_overlap": self.top_overlap,
            "images": float(self.images),
        }


def quantize(data: bytes, images: NDArray[np.uint8], *, input_name: str = "images") -> bytes:
    """Return the unsealed model with int8 convolutions, without its manifest.

    Args:
        data: An unsealed float32 ONNX file with one image input.
        images: (M, H, W, C) images of the pool, M >= 1; an evenly spaced subset sets the ranges.
        input_name: Name of the image input.

    Raises:
        ExportError: The quantizer refuses the model.
    """
    import onnx

    with contained(), tempfile.TemporaryDirectory(prefix="dgaal-int8-") as folder:
        target = Path(folder) / "int8.onnx"
        try:
            _quantize_file(onnx.load_from_string(data), target, _feeds(images, input_name))
            model = onnx.load(target)
        except Exception as error:
            raise ExportError(f"onnxruntime cannot quantize the sampler: {error}") from error
    del model.metadata_props[:]
    return model.SerializeToString(deterministic=True)


def compare_rankings(
    expected: NDArray[np.float32], got: NDArray[np.float32], *, min_spearman: float = MIN_SPEARMAN
) -> Agreement:
    """Compare two score arrays of shape (M,), M >= 2, of the same images.

    Raises:
        AgreementError: The rankings differ too much, or a score is not finite.
    """
    if not (np.isfinite(expected).all() and np.isfinite(got).all()):
        raise AgreementError("a quantized score is not finite")
    spearman = _spearman(expected, got)
    count = max(1, round(TOP_SHARE * len(expected)))
    best = set(np.argsort(-expected, kind="stable")[:count].tolist())
    overlap = len(best & set(np.argsort(-got, kind="stable")[:count].tolist())) / count
    if not spearman >= min_spearman:
        raise AgreementError(
            f"int8 scores rank {len(expected)} images with Spearman {spearman:.4f} "
            f"compared with float32; at least {min_spearman} is required "
            f"(top-5% overlap {overlap:.2f})"
        )
    return Agreement(spearman=spearman, top_overlap=overlap, images=len(expected))


def split_pool(
    images: NDArray[np.uint8], *, max_images: int = 2000
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return two disjoint, evenly spaced samples of the pool: for calibration and comparison.

    Args:
        images: (M, H, W, C) images of the pool, in any order, M >= 2.
        max_images: Maximum images in a sample.
    """
    return _spread(images[::2], max_images), _spread(images[1::2], max_images)


def _spread(images: NDArray[np.uint8], count: int) -> NDArray[np.uint8]:
    rows = np.linspace(0, len(images) - 1, min(count, len(images))).round().astype(np.int64)
    return np.ascontiguousarray(images[rows])


def _quantize_file(model: Any, target: Path, feeds: Iterator[dict[str, Any]]) -> None:
    from onnxruntime import quantization as tools

    class Reader(tools.CalibrationDataReader):
        def get_next(self) -> Any:
            return next(feeds, None)

    on_pixels = _pixel_convolutions(model)
    tools.quantize_static(
        model,
        target,
        Reader(),
        quant_format=tools.QuantFormat.QDQ,
        op_types_to_quantize=["Conv", "Relu"],
        nodes_to_exclude=[*on_pixels, *_other_relus(model, on_pixels)],
        per_channel=True,
        # Seven bits for weights: products of eight bits saturate on processors without VNNI, and
        # scoring may run on another host than the comparison of rankings.
        reduce_range=True,
        activation_type=tools.QuantType.QUInt8,
        weight_type=tools.QuantType.QInt8,
        calibrate_method=tools.CalibrationMethod.Percentile,
    )


def _pixel_convolutions(model: Any) -> list[str]:
    """Return the names of convolutions whose input has at most three channels."""
    depth = {tensor.name: tensor.dims[1] for tensor in model.graph.initializer if tensor.dims[1:]}
    return [
        node.name
        for node in model.graph.node
        if node.op_type == "Conv"
        and depth.get(node.input[1], _PIXEL_CHANNELS + 1) <= _PIXEL_CHANNELS
    ]


def _other_relus(model: Any, left_out: list[str]) -> list[str]:
    """Return the names of ReLUs that do not follow a quantized convolution."""
    made_by = {name: node for node in model.graph.node for name in node.output}
    quantized = [n.name for n in model.graph.node if n.op_type == "Conv" and n.name not in left_out]
    return [
        node.name
        for node in model.graph.node
        if node.op_type == "Relu"
        and (node.input[0] not in made_by or made_by[node.input[0]].name not in quantized)
    ]


def _feeds(images: NDArray[np.uint8], name: str) -> Iterator[dict[str, Any]]:
    # The collector stacks its batches, so all must have one size; a remainder is left out.
    images = _spread(images, _CALIBRATION_IMAGES)
    size = min(_CALIBRATION_BATCH, len(images))
    for start in range(0, len(images) - size + 1, size):
        yield {name: images[start : start + size]}


def _spearman(left: NDArray[np.float32], right: NDArray[np.float32]) -> float:
    a, b = _mean_ranks(left), _mean_ranks(right)
    a, b = a - a.mean(), b - b.mean()
    scale = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / scale if scale > 0 else 0.0


def _mean_ranks(values: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return ranks from 0; equal values share their mean rank."""
    _, group, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts) - 1.0
    return (last - (counts - 1) / 2.0)[group]

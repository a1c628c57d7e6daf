"""float32 ONNX -> int8 convolutions, and how well the ranking survived.

Only convolutions are quantized, and of those not the ones that see pixels, which are the cheapest
and forgive least. Heads and scores stay float32, for a rounded score ties images that were not
equal. Ranges come from images of the pool, cut at a percentile, for single outliers would coarsen
all other values. A ReLU behind such a convolution is rounded with it: rounding before it as well
costs precision, half of it for values that are about to become zero.
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
"""The part of the ranking that a query is likely to ask."""

GOOD_OVERLAP = 0.97
"""Overlap of the best 5 % with which a quantized sampler asks nearly what the float32 one asks."""

_CALIBRATION_IMAGES = 512
_CALIBRATION_BATCH = 64
_PIXEL_CHANNELS = 3


class AgreementError(ValueError):
    """The quantized sampler ranks images differently."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How a quantized sampler ranks images beside the float32 one."""

    spearman: float
    """Rank correlation, -1..1."""
    top_overlap: float
    """Share of the float32 sampler's best 5 % that are in the quantized one's best 5 %."""
    images: int

    def as_document(self) -> dict[str, float]:
        """Return what goes into the manifest."""
        return {
            "spearman": self.spearman,
            "top_5_percent_overlap": self.top_overlap,
            "images": float(self.images),
        }


def quantize(data: bytes, images: NDArray[np.uint8], *, input_name: str = "images") -> bytes:
    """Return the unsealed model with int8 convolutions, without its manifest.

    Args:
        data: An unsealed float32 ONNX file with one image input.
        images: (M, H, W, C) images of the pool, M >= 1; ranges come from some, spread over all.
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
    expected: NDArray[np.float32], got: NDArray[np.float32], *, least: float = MIN_SPEARMAN
) -> Agreement:
    """Compare two score arrays of shape (M,), M >= 2, of the same images.

    Raises:
        AgreementError: They rank differently, or a score is not finite.
    """
    if not (np.isfinite(expected).all() and np.isfinite(got).all()):
        raise AgreementError("a quantized score is not finite")
    spearman = _spearman(expected, got)
    count = max(1, round(TOP_SHARE * len(expected)))
    best = set(np.argsort(-expected, kind="stable")[:count].tolist())
    overlap = len(best & set(np.argsort(-got, kind="stable")[:count].tolist())) / count
    if not spearman >= least:
        raise AgreementError(
            f"int8 scores rank {len(expected)} images with Spearman {spearman:.4f} beside "
            f"float32, at least {least} is needed (top-5% overlap {overlap:.2f})"
        )
    return Agreement(spearman=spearman, top_overlap=overlap, images=len(expected))


def split_pool(
    images: NDArray[np.uint8], *, most: int = 2000
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Take two disjoint samples, each spread over the whole pool: to quantize by, and to judge by.

    Args:
        images: (M, H, W, C) images of the pool, in any order, M >= 2.
        most: Most images of a sample.
    """
    return _spread(images[::2], most), _spread(images[1::2], most)


def _spread(images: NDArray[np.uint8], count: int) -> NDArray[np.uint8]:
    rows = np.linspace(0, len(images) - 1, min(count, len(images))).round().astype(np.int64)
    return np.ascontiguousarray(images[rows])


def _quantize_file(model: Any, target: Path, feeds: Iterator[dict[str, Any]]) -> None:
    from onnxruntime import quantization as tools

    class Reader(tools.CalibrationDataReader):
        def get_next(self) -> Any:
            return next(feeds, None)

    seeing_pixels = _seeing_pixels(model)
    tools.quantize_static(
        model,
        target,
        Reader(),
        quant_format=tools.QuantFormat.QDQ,
        op_types_to_quantize=["Conv", "Relu"],
        nodes_to_exclude=[*seeing_pixels, *_other_relus(model, seeing_pixels)],
        per_channel=True,
        # Seven bits for weights: products of eight saturate on processors without VNNI, and the
        # host that scores need not be the host that compared rankings.
        reduce_range=True,
        activation_type=tools.QuantType.QUInt8,
        weight_type=tools.QuantType.QInt8,
        calibrate_method=tools.CalibrationMethod.Percentile,
    )


def _seeing_pixels(model: Any) -> list[str]:
    """Name the convolutions that see pixels."""
    depth = {tensor.name: tensor.dims[1] for tensor in model.graph.initializer if tensor.dims[1:]}
    return [
        node.name
        for node in model.graph.node
        if node.op_type == "Conv"
        and depth.get(node.input[1], _PIXEL_CHANNELS + 1) <= _PIXEL_CHANNELS
    ]


def _other_relus(model: Any, left_out: list[str]) -> list[str]:
    """Name the ReLUs that do not stand behind a convolution that is quantized."""
    made_by = {name: node for node in model.graph.node for name in node.output}
    quantized = [n.name for n in model.graph.node if n.op_type == "Conv" and n.name not in left_out]
    return [
        node.name
        for node in model.graph.node
        if node.op_type == "Relu"
        and (node.input[0] not in made_by or made_by[node.input[0]].name not in quantized)
    ]


def _feeds(images: NDArray[np.uint8], name: str) -> Iterator[dict[str, Any]]:
    # The collector stacks what it saw, so all batches must be of one size; a rest is left out.
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
    """Ranks from 0; equal values share their mean rank."""
    _, group, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts) - 1.0
    return (last - (counts - 1) / 2.0)[group]

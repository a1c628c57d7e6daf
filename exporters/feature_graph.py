"""Build one ONNX model from the ONNX model of an encoder and a linear head on its features.

The nodes use operators that did not change since opset 11, or only in ways that do not matter here,
so the encoder keeps its opset. Names of the encoder get a prefix, so that none is used twice.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from exporters.chatter import ExportError

Array = npt.NDArray[np.float32]
Score = Literal["margin", "least-confidence", "entropy"]
_PREFIX = "encoder/"
_MIN_OPSET = 11
_RANKS = (2, 3, 4)


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderInput:
    """How uint8 RGB images ``(N, S, S, 3)`` become the tensor that an encoder takes."""

    is_first: bool
    """Whether channels come before the sides."""
    is_bgr: bool
    to_gray: Array | None
    """(3,): share of each color in gray; None for an encoder of color images."""
    gain: Array | None
    """(C,): factor of each channel, before ``offset`` is subtracted; None: values of 0..255."""
    offset: Array | None
    dtype: str
    """``"uint8"``, ``"float16"`` or ``"float32"``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinearHead:
    """``weights @ ((features - mean) / deviation) + bias`` for K classes."""

    mean: Array
    """(D,)."""
    deviation: Array
    """(D,), above 0."""
    weights: Array
    """(K, D)."""
    bias: Array
    """(K,)."""


def with_head(
    encoder: bytes,
    head: LinearHead,
    *,
    output: str,
    rank: int,
    is_last: bool,
    images: EncoderInput,
    side: int,
    score: Score | None,
) -> bytes:
    """Return an unsealed ONNX model from uint8 images ``(N, S, S, 3)`` to the head's outputs.

    Outputs are ``score``, ``probabilities`` and ``features`` (standardized) with a score, else
    ``logits`` and ``probabilities``.

    Args:
        encoder: ONNX model with one image input.
        head: Head on the features.
        output: Tensor of the encoder that holds the features.
        rank: Its axes: 2 for vectors, 3 for tokens ``(N, T, D)``, 4 for maps, which are averaged.
        is_last: Whether the channels of a map are its last axis.
        images: What the encoder takes.
        side: Side S of the images in pixels.
        score: What is ranked by; higher = ask first.

    Raises:
        ExportError: The encoder has an old opset, or takes a fixed number of images at once.
    """
    import onnx
    from onnx import TensorProto, compose, helper

    model = onnx.load_model_from_string(encoder)
    _check(model)
    inner: Any = compose.add_prefix_graph(model.graph, _PREFIX)
    graph = _Builder()
    graph.prepare(images, inner.input[0].name)
    graph.nodes.extend(inner.node)
    graph.initializers.extend(inner.initializer)
    graph.pool(_PREFIX + output, rank, is_last=is_last)
    graph.classify(head)
    if score is not None:
        graph.rank(score, len(head.bias))
    shapes = {
        "score": ["N"],
        "logits": ["N", len(head.bias)],
        "probabilities": ["N", len(head.bias)],
        "features": ["N", len(head.mean)],
    }
    names = ("logits", "probabilities") if score is None else ("score", "probabilities", "features")
    merged = helper.make_graph(
        graph.nodes,
        "dgaal",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["N", side, side, 3])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shapes[name]) for name in names],
        graph.initializers,
    )
    result = helper.make_model(
        merged,
        opset_imports=model.opset_import,
        ir_version=model.ir_version,
        functions=list(model.functions),
    )
    return result.SerializeToString(deterministic=True)


def _check(model: Any) -> None:
    opsets = [each.version for each in model.opset_import if each.domain in ("", "ai.onnx")]
    if not opsets or opsets[0] < _MIN_OPSET:
        raise ExportError(
            f"the encoder's file uses ONNX opset {opsets[0] if opsets else 0}, and a head needs "
            f"{_MIN_OPSET} or later; convert the file with onnx.version_converter"
        )
    batch = model.graph.input[0].type.tensor_type.shape.dim[0]
    if batch.HasField("dim_value"):
        raise ExportError(
            f"the encoder's file takes {batch.dim_value} images at a time; export it again with a "
            "batch size that is not fixed"
        )


class _Builder:
    """Collects nodes and constants of a graph; each method reads what the one before wrote."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []
        self._count = 0

    def prepare(self, images: EncoderInput, target: str) -> None:
        """Add the nodes from ``images`` to the encoder's input."""
        value = "images"
        has_numbers = images.to_gray is not None or images.gain is not None
        if has_numbers:
            value = self._cast(value, "float32")
        if images.to_gray is not None:
            value = self._add("MatMul", value, self._constant(images.to_gray[:, None]))
            value = self._add("Round", value) if images.dtype == "uint8" else value
        elif images.is_bgr:
            value = self._add("Gather", value, self._constant(np.array([2, 1, 0])), axis=3)
        if images.gain is not None and images.offset is not None:
            value = self._add("Mul", value, self._constant(images.gain))
            value = self._add("Sub", value, self._constant(images.offset))
        if images.is_first:
            value = self._add("Transpose", value, perm=[0, 3, 1, 2])
        self._add("Identity", self._cast(value, images.dtype), name=target)

    def pool(self, value: str, rank: int, *, is_last: bool) -> None:
        """Add the mean over the places of maps and tokens."""
        if rank not in _RANKS:
            raise ExportError("the encoder's output holds no vectors, maps or tokens")
        value = self._cast(value, "float32")
        if rank == 3:
            value = self._add("Transpose", value, perm=[0, 2, 1])
        elif rank == 4 and is_last:
            value = self._add("Transpose", value, perm=[0, 3, 1, 2])
        if rank > 2:
            value = self._add("Flatten", self._add("GlobalAveragePool", value))
        self._add("Identity", value, name="raw")

    def classify(self, head: LinearHead) -> None:
        """Add standardization, logits and probabilities."""
        value = self._add("Sub", "raw", self._constant(head.mean))
        self._add("Div", value, self._constant(head.deviation), name="features")
        value = self._add("MatMul", "features", self._constant(head.weights.T))
        self._add("Add", value, self._constant(head.bias), name="logits")
        self._add("Softmax", "logits", name="probabilities", axis=1)

    def rank(self, score: Score, classes: int) -> None:
        """Add the score; see ``networks.deploy`` and ``methods.uncertainty`` for the same."""
        if score == "entropy":
            log = self._add("LogSoftmax", "logits", axis=1)
            value, factors = self._add("Mul", self._add("Exp", log), log), -np.ones(classes)
        else:
            count = self._constant(np.array([classes]))
            sorted_ = ["descending", "order"]
            value = self._add("TopK", "probabilities", count, outputs=sorted_, axis=1)
            factors = np.ones(classes)
            factors[0] = 0
            factors[1] = 2 if score == "margin" else 1
        sums = self._add("MatMul", value, self._constant(factors.astype(np.float32)[:, None]))
        self._add("Reshape", sums, self._constant(np.array([-1])), name="score")

    def _cast(self, value: str, dtype: str) -> str:
        from onnx import helper

        return self._add("Cast", value, to=helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    def _constant(self, values: npt.NDArray[Any]) -> str:
        from onnx import numpy_helper

        name = self._name()
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def _add(
        self,
        kind: str,
        *inputs: str,
        name: str = "",
        outputs: list[str] | None = None,
        **attributes: Any,
    ) -> str:
        from onnx import helper

        outputs = outputs or [name or self._name()]
        self.nodes.append(helper.make_node(kind, inputs, outputs, **attributes))
        return outputs[0]

    def _name(self) -> str:
        self._count += 1
        return f"head_{self._count}"

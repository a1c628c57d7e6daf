"""Tiny ONNX image models, as files of others may look."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

WIDTH = 5
"""Channels of the map, and width of the vector."""


def weights(channels: int = 3) -> np.ndarray:
    """Return the weights (WIDTH, channels, 4, 4) of the only convolution."""
    values = np.sin(np.arange(WIDTH * channels * 16, dtype=np.float32))
    return values.reshape(WIDTH, channels, 4, 4)


BIAS = np.linspace(-1, 1, WIDTH, dtype=np.float32)
"""Of the convolution; so brightness changes more than the length of the vector."""


def image_model(
    shape: Sequence[int | str] = ("N", 3, 16, 16),
    *,
    outputs: Sequence[str] = ("features",),
    dtype: int = TensorProto.FLOAT,
    metadata: dict[str, str] | None = None,
    scale: float = 1.0,
) -> bytes:
    """Return a model: convolution -> ReLU ``map`` -> mean ``features`` -> ``logits`` (N, 2)."""
    is_last = shape[-1] in (1, 3)
    channels = shape[-1] if is_last else shape[1]
    count = channels if isinstance(channels, int) else 3
    nodes = [helper.make_node("Cast", ["images"], ["cast"], to=TensorProto.FLOAT)]
    if is_last:
        nodes.append(helper.make_node("Transpose", ["cast"], ["first"], perm=[0, 3, 1, 2]))
    nodes += [
        helper.make_node(
            "Conv", ["first" if is_last else "cast", "w", "b"], ["sums"], strides=[4, 4]
        ),
        helper.make_node("Relu", ["sums"], ["map"]),
        helper.make_node("GlobalAveragePool", ["map"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["features"]),
        helper.make_node("MatMul", ["features", "v"], ["logits"]),
        helper.make_node("ArgMax", ["features"], ["best"], axis=1),
    ]
    kinds = {"map": [None] * 4, "features": [None, WIDTH], "logits": [None, 2]}
    batch = shape[0]
    graph = helper.make_graph(
        nodes,
        "image_model",
        [helper.make_tensor_value_info("images", dtype, shape)],
        [_output(name, kinds.get(name), batch) for name in outputs],
        [
            numpy_helper.from_array(weights(count) * np.float32(scale), "w"),
            numpy_helper.from_array(BIAS, "b"),
            numpy_helper.from_array(np.ones((WIDTH, 2), np.float32), "v"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    helper.set_model_props(model, metadata or {})
    onnx.checker.check_model(model)
    return model.SerializeToString()


def _output(name: str, shape: Any, batch: int | str) -> Any:
    if shape is None:
        return helper.make_tensor_value_info(name, TensorProto.INT64, None)
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, [batch, *shape[1:]])


def text_model() -> bytes:
    """Return a model that takes tokens, not images."""
    graph = helper.make_graph(
        [helper.make_node("Identity", ["tokens"], ["same"])],
        "text_model",
        [helper.make_tensor_value_info("tokens", TensorProto.INT64, ["N", "T"])],
        [helper.make_tensor_value_info("same", TensorProto.INT64, ["N", "T"])],
    )
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9
    ).SerializeToString()

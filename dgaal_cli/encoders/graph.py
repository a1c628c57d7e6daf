"""A pretrained encoder as the beginning of a larger ONNX graph."""

import numpy as np

from dgaal_cli.config.schema import EncoderConfig
from dgaal_cli.encoders.image_tensor import LUMINANCE
from dgaal_cli.encoders.pretrained import PretrainedEncoder
from dgaal_cli.encoders.registry import encoder_file
from dgaal_cli.errors import CheckFailedError
from exporters.chatter import ExportError
from exporters.compose import ComposedGraph

IMAGES = "images"
"""Input of the graph: uint8 ``(N, S, S, 3)``, RGB."""
_ONNX_TYPES = {"float32": 1, "uint8": 2, "float16": 10}


def encoder_graph(encoder: PretrainedEncoder, settings: EncoderConfig) -> tuple[ComposedGraph, str]:
    """Return a graph from ``IMAGES`` to the encoder's features, and their tensor ``(N, D)``.

    Args:
        encoder: The encoder.
        settings: The settings that it was built from.

    Raises:
        CheckFailedError: The encoder's file cannot be extended.
        MissingExtraError: It must be compiled and torch is not installed.
    """
    data = encoder_file(settings)
    try:
        graph = ComposedGraph(data)
    except ExportError as error:
        raise CheckFailedError(
            f"encoder '{settings.source}' cannot be part of an exported file: {error}"
        ) from error
    _add_input(graph, encoder)
    return graph, _pooled(graph, encoder)


def _add_input(graph: ComposedGraph, encoder: PretrainedEncoder) -> None:
    """Make the encoder's input tensor of the images: see ``ImageTensor.of``."""
    tensor, values = encoder.tensor, IMAGES
    if tensor.channels == 1:
        values = graph.before("Cast", values, to=1)
        values = graph.before("MatMul", values, graph.constant(LUMINANCE[:, None]))
        values = graph.before("Round", values) if tensor.dtype == "uint8" else values
    elif tensor.channel_order == "BGR":
        order = graph.constant([2, 1, 0], np.int64)
        values = graph.before("Gather", values, order, axis=3)
    gain, offset = tensor.scale()
    if gain is not None and offset is not None:
        values = graph.before("Cast", values, to=1)
        values = graph.before("Mul", values, graph.constant(gain))
        values = graph.before("Sub", values, graph.constant(offset))
    if tensor.layout == "NCHW":
        values = graph.before("Transpose", values, perm=[0, 3, 1, 2])
    graph.before("Cast", values, to=_ONNX_TYPES[tensor.dtype], output=graph.source)


def _pooled(graph: ComposedGraph, encoder: PretrainedEncoder) -> str:
    """Average maps and tokens: see ``onnx_network.pooled``."""
    output = encoder.output
    rank = len(next(o for o in encoder.network.outputs if o.name == output).shape)
    values = graph.after("Cast", graph.tensor_of_model(output), to=1)
    if rank == 3:
        values = graph.after("Transpose", values, perm=[0, 2, 1])
    elif rank == 4 and encoder.tensor.layout == "NHWC":
        values = graph.after("Transpose", values, perm=[0, 3, 1, 2])
    if rank > 2:
        values = graph.after("GlobalAveragePool", values)
        values = graph.after("Reshape", values, graph.constant([0, -1], np.int64))
    return values

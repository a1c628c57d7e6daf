"""Module -> ONNX: one file, dynamic batch, no traces of the exporting host."""

import copy
from typing import Any

import torch

from exporters.chatter import ExportError, contained
from exporters.embedded import embed
from exporters.small_maps import rewritten
from exporters.spec import ExportSpec

MAX_BYTES = 2**31 - 1
"""Larger models do not fit into one protobuf message."""


def export(module: torch.nn.Module, spec: ExportSpec) -> bytes:
    """Return an unsealed ONNX file with the spec's manifest in it.

    The module itself is left as it is: a copy on the CPU in evaluation mode is exported.

    Raises:
        ExportError: The module cannot be exported, not with a dynamic batch, or is too large.
    """
    frozen_copy = copy.deepcopy(module).to("cpu").eval().requires_grad_(requires_grad=False)
    with contained():
        try:
            model = _converted(frozen_copy, spec)
        except Exception as error:
            first_line = str(error).strip().splitlines()[:1]
            raise ExportError(
                f"PyTorch cannot express {type(module).__name__} in ONNX: {first_line}"
            ) from error
    _strip(model)
    _refuse_frozen_batch(model)
    if model.ByteSize() > MAX_BYTES:
        raise ExportError("the model exceeds 2 GiB, the most that one ONNX file can hold")
    return embed(model.SerializeToString(deterministic=True), spec.manifest, "onnx")


def _converted(module: torch.nn.Module, spec: ExportSpec) -> Any:
    # Three images: sizes 0 and 1 would be baked in as special cases.
    example = tuple(torch.from_numpy(array) for array in spec.example(3).values())
    if spec.manifest.precision != "int8":  # whose quantizer looks for convolutions
        module = rewritten(module, example)
    batch = torch.export.Dim("batch")
    program = torch.onnx.export(
        module,
        example,
        dynamo=True,
        verbose=False,
        external_data=False,
        input_names=[info.name for info in spec.manifest.inputs],
        output_names=[info.name for info in spec.manifest.outputs],
        dynamic_shapes=tuple({0: batch} for _ in example),
    )
    if program is None:
        raise TypeError("the exporter returned nothing")
    return program.model_proto


def _strip(model: Any) -> None:
    """Drop stack traces and source paths; what remains depends on the module alone."""
    del model.metadata_props[:]
    graphs = [model.graph, *model.functions]
    for graph in graphs:
        del graph.metadata_props[:]
        graph.doc_string = ""
        for node in graph.node:
            del node.metadata_props[:]
            node.doc_string = ""
    for value in (*model.graph.value_info, *model.graph.input, *model.graph.output):
        del value.metadata_props[:]
    for tensor in model.graph.initializer:
        del tensor.metadata_props[:]


def _refuse_frozen_batch(model: Any) -> None:
    for value in (*model.graph.input, *model.graph.output):
        sides = value.type.tensor_type.shape.dim
        if not sides or not sides[0].dim_param:
            raise ExportError(f"the exporter fixed the batch size of {value.name!r}")

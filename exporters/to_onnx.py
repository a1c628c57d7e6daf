"""Export a module to ONNX: one file, dynamic batch size, no paths of the exporting host."""

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
    """Return an unsealed ONNX file that contains the manifest.

    The module is not changed: a copy on the CPU in evaluation mode is exported.

    Raises:
        ExportError: The module cannot be exported with a dynamic batch size, or is too large.
    """
    frozen_copy = copy.deepcopy(module).to("cpu").eval().requires_grad_(requires_grad=False)
    with contained():
        try:
            model = _converted(frozen_copy, spec)
        except Exception as error:
            first_line = str(error).strip().splitlines()[:1]
            raise ExportError(
                f"PyTorch cannot export {type(module).__name__} to ONNX: {first_line}"
            ) from error
    _strip(model)
    _refuse_frozen_batch(model)
    if model.ByteSize() > MAX_BYTES:
        raise ExportError("the model exceeds 2 GiB, the limit of one ONNX file")
    return embed(model.SerializeToString(deterministic=True), spec.manifest, "onnx")


def _converted(module: torch.nn.Module, spec: ExportSpec) -> Any:
    # Three images: the exporter treats sizes 0 and 1 as constants.
    example = tuple(torch.from_numpy(array) for array in spec.example(3).values())
    if spec.manifest.precision != "int8":  # the quantizer looks for convolutions
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
    """Remove stack traces and source paths, so that the file depends only on the module."""
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

"""Export a module to ONNX: one file, dynamic batch size, no paths of the exporting host."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from exporters.chatter import ExportError, contained
from exporters.embedded import embed
from exporters.small_maps import rewritten
from exporters.spec import AnyArray, ExportSpec

EXAMPLES = 3
"""Images of an example: the exporter treats sizes 0 and 1 as constants."""
MAX_BYTES = 2**31 - 1
"""Larger models do not fit into one protobuf message."""


def export(module: torch.nn.Module, spec: ExportSpec) -> bytes:
    """Return an unsealed ONNX file that contains the manifest.

    The module is not changed: a copy on the CPU in evaluation mode is exported.

    Raises:
        ExportError: The module cannot be exported with a dynamic batch size, or is too large.
    """
    example = spec.example(EXAMPLES)
    outputs = [info.name for info in spec.manifest.outputs]
    is_int8 = spec.manifest.precision == "int8"  # the quantizer looks for convolutions
    data = convert(module, example, outputs, is_rewritten=not is_int8)
    return embed(data, spec.manifest, "onnx")


def convert(
    module: torch.nn.Module,
    example: Mapping[str, AnyArray],
    outputs: Sequence[str],
    *,
    is_rewritten: bool = True,
) -> bytes:
    """Return a module as an ONNX file without a manifest.

    Args:
        module: The module; a copy on the CPU in evaluation mode is converted.
        example: Inputs by name, for ``EXAMPLES`` images.
        outputs: Names of its outputs.
        is_rewritten: See ``small_maps.rewritten``.

    Raises:
        ExportError: See ``export``.
    """
    frozen_copy = copy.deepcopy(module).to("cpu").eval().requires_grad_(requires_grad=False)
    with contained():
        try:
            model = _converted(frozen_copy, example, outputs, is_rewritten=is_rewritten)
        except Exception as error:
            first_line = str(error).strip().splitlines()[:1]
            raise ExportError(
                f"PyTorch cannot export {type(module).__name__} to ONNX: {first_line}"
            ) from error
    _strip(model)
    _refuse_frozen_batch(model)
    if model.ByteSize() > MAX_BYTES:
        raise ExportError("the model exceeds 2 GiB, the limit of one ONNX file")
    return model.SerializeToString(deterministic=True)


def _converted(
    module: torch.nn.Module,
    inputs: Mapping[str, AnyArray],
    outputs: Sequence[str],
    *,
    is_rewritten: bool,
) -> Any:
    example = tuple(torch.from_numpy(array) for array in inputs.values())
    if is_rewritten:
        module = rewritten(module, example)
    batch = torch.export.Dim("batch")
    program = torch.onnx.export(
        module,
        example,
        dynamo=True,
        verbose=False,
        external_data=False,
        input_names=list(inputs),
        output_names=list(outputs),
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

"""Add operations before and after an ONNX model, without torch."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from exporters.chatter import ExportError

_PREFIX = "encoder_"
"""Before all names of the model, so that they differ from the added ones."""
_TWO_OUTPUTS = ("TopK",)
MIN_OPSET = 13
"""Version of the ONNX operators from which the added operations mean the same."""


class ComposedGraph:
    """An ONNX model with one input and more operations.

    Attributes:
        source: Tensor that takes the place of the model's input; see ``feed``.
        types: ONNX type number of the model's input.
    """

    def __init__(self, model: bytes) -> None:
        """Read the model.

        Raises:
            ExportError: It has several inputs, a fixed number of images, or an old operator set.
        """
        import onnx
        from onnx import compose

        read = onnx.load_model_from_string(model)
        version = _version(read)
        if version < MIN_OPSET:
            raise ExportError(f"it uses ONNX operators {version}; at least {MIN_OPSET} are needed")
        known = {each.name for each in read.graph.initializer}
        inputs = [each for each in read.graph.input if each.name not in known]
        if len(inputs) != 1:
            raise ExportError(f"it has {len(inputs)} inputs instead of one")
        sides = inputs[0].type.tensor_type.shape.dim
        if not sides or not sides[0].dim_param:
            raise ExportError("it takes a fixed number of images at a time")
        self._model: Any = compose.add_prefix(read, _PREFIX)
        self.source = f"{_PREFIX}{inputs[0].name}"
        self._before: list[Any] = []
        self._after: list[Any] = []
        self._count = self._grafts = 0

    def tensor_of_model(self, name: str) -> str:
        """Return the name here of one of the model's tensors."""
        return f"{_PREFIX}{name}"

    def constant(
        self, value: npt.ArrayLike, dtype: npt.DTypeLike = np.float32, *, name: str = ""
    ) -> str:
        """Add a constant tensor; return its name, which is automatic if empty."""
        from onnx import numpy_helper

        name = name or self._name()
        array = np.ascontiguousarray(value, dtype)
        self._model.graph.initializer.append(numpy_helper.from_array(array, name))
        return name

    def before(self, operator: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        """Add an operation that runs before the model; return its output."""
        return self._add(self._before, operator, inputs, output, attributes)

    def after(self, operator: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        """Add an operation that runs after the model; return its first output."""
        return self._add(self._after, operator, inputs, output, attributes)

    def graft(self, model: bytes, source: str, output: str) -> str:
        """Add what another model computes of one tensor; return the tensor of one of its outputs.

        Args:
            model: ONNX file with one input, without subgraphs.
            source: Tensor here that takes the place of its input.
            output: Name of its output; operations that it does not need are left out.

        Raises:
            ExportError: Its operators cannot be converted to the version of this model.
        """
        import onnx
        from onnx import compose, version_converter

        self._grafts += 1
        prefix = f"graft_{self._grafts}_"
        read: Any = onnx.load_model_from_string(model)
        newest = max(_version(read), _version(self._model))
        try:
            # Only upwards: onnx 1.23 keeps attributes that older operators do not have.
            read = version_converter.convert_version(read, newest)
            self._model = version_converter.convert_version(self._model, newest)
        except Exception as error:  # the converter has no error class of its own
            raise ExportError(
                f"its operators cannot be converted to version {newest}, which the networks of the "
                f"method use: {str(error)[:200]}"
            ) from error
        graph = compose.add_prefix(read, prefix).graph
        nodes, wanted = list[Any](), {f"{prefix}{output}"}
        for node in reversed(graph.node):
            if wanted.intersection(node.output):
                nodes.insert(0, node)
                wanted.update(node.input)
        self.after("Identity", source, output=graph.input[0].name)
        self._model.graph.initializer.extend(i for i in graph.initializer if i.name in wanted)
        self._after.extend(nodes)
        return f"{prefix}{output}"

    def finish(
        self, name: str, shape: Sequence[int], outputs: Mapping[str, tuple[str, Sequence[int]]]
    ) -> bytes:
        """Return the whole model.

        Args:
            name: Name of the input of uint8 values.
            shape: Shape of one image.
            outputs: Tensor and shape for one image of each output, float32.
        """
        from onnx import TensorProto, checker, helper

        graph = self._model.graph
        nodes = [*self._before, *graph.node, *self._after]
        for output, (tensor, _) in outputs.items():
            nodes.append(helper.make_node("Identity", [tensor], [output]))
        del graph.node[:], graph.input[:], graph.output[:]
        graph.node.extend(nodes)
        graph.input.append(
            helper.make_tensor_value_info(name, TensorProto.UINT8, ["batch", *shape])
        )
        for output, (_, own) in outputs.items():
            graph.output.append(
                helper.make_tensor_value_info(output, TensorProto.FLOAT, ["batch", *own])
            )
        del self._model.metadata_props[:]
        try:
            checker.check_model(self._model)
        except checker.ValidationError as error:
            raise ExportError(f"the composed model is not valid: {str(error)[:200]}") from error
        return self._model.SerializeToString(deterministic=True)

    def _add(
        self,
        nodes: list[Any],
        operator: str,
        inputs: Sequence[str],
        output: str,
        attributes: Mapping[str, Any],
    ) -> str:
        from onnx import helper

        output = output or self._name()
        spare = [self._name()] if operator in _TWO_OUTPUTS else []
        nodes.append(helper.make_node(operator, list(inputs), [output, *spare], **attributes))
        return output

    def _name(self) -> str:
        self._count += 1
        return f"added_{self._count}"


def _version(model: Any) -> int:
    """Return the version of a model's standard operators."""
    return max(each.version for each in model.opset_import if each.domain in ("", "ai.onnx"))

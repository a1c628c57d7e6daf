import contextlib

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from exporters import onnx_wire
from exporters.onnx_wire import WireError

FLOAT = TensorProto.FLOAT


def tensor(*, is_external: bool = False) -> TensorProto:
    value = numpy_helper.from_array(np.ones(3, np.float32), "weight")
    if is_external:
        value.ClearField("raw_data")
        value.data_location = TensorProto.EXTERNAL
        entry = value.external_data.add()
        entry.key, entry.value = "location", "../canary"
    return value


def model(
    nodes: list[onnx.NodeProto] | None = None,
    initializers: list[TensorProto] | None = None,
    domains: tuple[str, ...] = ("",),
) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes or [helper.make_node("Add", ["x", "weight"], ["y"])],
        "graph",
        [helper.make_tensor_value_info("x", FLOAT, [3])],
        [helper.make_tensor_value_info("y", FLOAT, [3])],
        initializers if initializers is not None else [tensor()],
    )
    opsets = [helper.make_opsetid(domain, 20) for domain in domains]
    return helper.make_model(graph, opset_imports=opsets)


def constant(value: TensorProto) -> onnx.NodeProto:
    return helper.make_node("Constant", [], ["weight"], value=value)


def test_metadata_reads_entries_of_the_onnx_package() -> None:
    proto = model()
    helper.set_model_props(proto, {"a": "1", "b": "ü" * 200, "": ""})
    entries = onnx_wire.metadata(proto.SerializeToString())
    assert entries == [("a", b"1"), ("b", ("ü" * 200).encode()), ("", b"")]


def test_with_metadata_replaces_an_entry_for_the_onnx_package() -> None:
    proto = model()
    helper.set_model_props(proto, {"key": "old", "other": "kept"})
    data = onnx_wire.with_metadata(proto.SerializeToString(), "key", b"new" * 1000)
    read = onnx.load_from_string(data)
    assert {item.key: item.value for item in read.metadata_props} == {
        "other": "kept",
        "key": "new" * 1000,
    }
    assert read.graph == proto.graph


def test_model_without_dependencies_is_accepted() -> None:
    onnx_wire.refuse_dependencies(model().SerializeToString())
    with_subgraphs = helper.make_node(
        "If",
        ["c"],
        ["y"],
        then_branch=model().graph,
        else_branch=model([constant(tensor())], []).graph,
    )
    onnx_wire.refuse_dependencies(model([with_subgraphs]).SerializeToString())


def models_with_external_data() -> dict[str, onnx.ModelProto]:
    external = tensor(is_external=True)
    branch = model([constant(external)], []).graph
    inner = helper.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=model().graph)
    function = helper.make_function("local", "f", ["x"], ["y"], [constant(external)], [])
    with_function = model()
    with_function.functions.append(function)
    sparse = model()
    sparse.graph.sparse_initializer.add().values.CopyFrom(external)
    only_location = tensor()
    only_location.data_location = TensorProto.EXTERNAL
    only_entry = tensor()
    only_entry.external_data.add().key = "location"
    return {
        "initializer": model(initializers=[external]),
        "constant": model([constant(external)], []),
        "branch": model([inner]),
        "function": with_function,
        "sparse": sparse,
        "location": model(initializers=[only_location]),
        "entry": model(initializers=[only_entry]),
    }


@pytest.mark.parametrize("place", models_with_external_data())
def test_external_data_is_refused_at_every_place(place: str) -> None:
    data = models_with_external_data()[place].SerializeToString()
    with pytest.raises(WireError, match=r"another file|outside the ONNX standard"):
        onnx_wire.refuse_dependencies(data)


def test_operators_outside_the_onnx_standard_are_refused() -> None:
    custom = helper.make_node("EPContext", ["x"], ["y"], domain="com.microsoft")
    with pytest.raises(WireError, match="outside the ONNX standard"):
        onnx_wire.refuse_dependencies(model([custom]).SerializeToString())
    with pytest.raises(WireError, match="outside the ONNX standard"):
        onnx_wire.refuse_dependencies(model(domains=("", "evil")).SerializeToString())


def test_training_instructions_are_refused() -> None:
    proto = model()
    proto.training_info.add().algorithm.name = "a"
    with pytest.raises(WireError, match="training"):
        onnx_wire.refuse_dependencies(proto.SerializeToString())


def test_tag_beyond_the_range_of_field_numbers_is_refused() -> None:
    # Field 7 + 2**32: a parser that keeps 32 bits of the tag would see the graph.
    tag = (((7 + 2**32) << 3) | 2).to_bytes(6, "little")
    value = int.from_bytes(tag, "little")
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    with pytest.raises(WireError):
        onnx_wire.refuse_dependencies(bytes(encoded) + b"\0")


def test_deep_nesting_is_refused_without_recursion_error() -> None:
    graph = model().graph
    for _ in range(12):
        node = helper.make_node("If", ["c"], ["y"], then_branch=graph)
        graph = helper.make_graph([node], "graph", [], [])
    proto = model()
    proto.graph.CopyFrom(graph)
    with pytest.raises(WireError, match="too deeply"):
        onnx_wire.refuse_dependencies(proto.SerializeToString())


@given(st.binary(max_size=200))
def test_arbitrary_bytes_raise_only_wire_error(data: bytes) -> None:
    for function in (onnx_wire.metadata, onnx_wire.refuse_dependencies):
        with contextlib.suppress(WireError):
            function(data)

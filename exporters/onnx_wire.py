"""A minimal reader of the ONNX wire format, safe on hostile files.

Reads metadata and names, and checks that a model is self-contained: no tensor in another file, no
operator outside the standard set. Field numbers are those of ``onnx.proto3``.
"""

from collections.abc import Iterator

Value = int | memoryview
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MAX_DEPTH = 16
_MAX_FIELD = 2**29
_STANDARD_DOMAINS = (b"", b"ai.onnx")

# ModelProto
_MODEL_GRAPH, _MODEL_OPSET, _MODEL_METADATA, _MODEL_TRAINING, _MODEL_FUNCTION = 7, 8, 14, 20, 25
# GraphProto
_GRAPH_NODE, _GRAPH_INITIALIZER, _GRAPH_OUTPUT = 1, 5, 12
_NODE_OUTPUT = 2
# TensorProto
_TENSOR_NAME, _TENSOR_RAW = 8, 9
_TENSOR_EXTERNAL, _TENSOR_LOCATION = 13, 14

_Kind = str
# Message -> field -> type of the nested message. Fields that are not listed cannot contain tensors.
_CHILDREN: dict[_Kind, dict[int, _Kind]] = {
    "model": {_MODEL_GRAPH: "graph", _MODEL_FUNCTION: "function", _MODEL_OPSET: "opset"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 9: "opset", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
    "opset": {},
}
_DOMAIN_FIELD = {"opset": 1, "node": 7}


class WireError(ValueError):
    """The bytes are not an ONNX model, or a model that dgaal never writes."""


def metadata(data: bytes) -> list[tuple[str, bytes]]:
    """Return the model's metadata entries in file order; keys can repeat.

    Raises:
        WireError: The bytes are not a protobuf message.
    """
    entries: list[tuple[str, bytes]] = []
    for number, value in _fields(memoryview(data)):
        if number == _MODEL_METADATA:
            pair = {key: _text(text) for key, text in _fields(_message(value))}
            entries.append((pair.get(1, b"").decode(errors="replace"), pair.get(2, b"")))
    return entries


def with_metadata(data: bytes, key: str, value: bytes) -> bytes:
    """Return the model with the metadata ``key`` set to ``value``; older entries are removed."""
    kept = [
        data[start:end]
        for number, content, start, end in _spans(memoryview(data))
        if not (number == _MODEL_METADATA and _is_key(content, key.encode()))
    ]
    entry = _field(1, key.encode()) + _field(2, value)
    return b"".join((*kept, _field(_MODEL_METADATA, entry)))


def output_names(data: bytes) -> list[str]:
    """Return the names of the graph's outputs.

    Raises:
        WireError: The bytes are not an ONNX model.
    """
    return _names(_graph(data), _GRAPH_OUTPUT, 1)


def computed_names(data: bytes) -> list[str]:
    """Return the names of all tensors that the graph computes, in the order of its nodes.

    Raises:
        WireError: The bytes are not an ONNX model.
    """
    return _names(_graph(data), _GRAPH_NODE, _NODE_OUTPUT)


def constants(data: bytes, prefix: str) -> dict[str, bytes]:
    """Return the bytes of the constant tensors whose names start with ``prefix``.

    Raises:
        WireError: The bytes are not an ONNX model.
    """
    found: dict[str, bytes] = {}
    for number, value in _fields(_graph(data)):
        if number != _GRAPH_INITIALIZER:
            continue
        parts = dict(_fields(_message(value)))
        name = _text(parts.get(_TENSOR_NAME, memoryview(b""))).decode(errors="replace")
        if name.startswith(prefix):
            found[name] = _text(parts.get(_TENSOR_RAW, memoryview(b"")))
    return found


def with_output(data: bytes, name: str) -> bytes:
    """Return the model with a tensor that it computes as its only output.

    Raises:
        WireError: The bytes are not an ONNX model.
    """
    kept = _without(_graph(data), _GRAPH_OUTPUT)
    graph = kept + _field(_GRAPH_OUTPUT, _field(1, name.encode()))  # runtimes infer its type
    return _without(memoryview(data), _MODEL_GRAPH) + _field(_MODEL_GRAPH, graph)


def refuse_dependencies(data: bytes) -> None:
    """Check that the model needs no other file and only standard operators.

    Raises:
        WireError: A tensor is in another file, or an operator is not standard.
    """
    _visit("model", memoryview(data), 0)


def _visit(kind: _Kind, message: memoryview, depth: int) -> None:
    if depth > _MAX_DEPTH:
        raise WireError("its graph is nested too deeply")
    children = _CHILDREN[kind]
    for number, value in _fields(message):
        if kind == "tensor" and number in (_TENSOR_EXTERNAL, _TENSOR_LOCATION) and value != 0:
            raise WireError("it keeps weights in another file, which is never read")
        if kind == "model" and number == _MODEL_TRAINING:
            raise WireError("it contains training instructions, which are never run")
        if number == _DOMAIN_FIELD.get(kind) and _text(value) not in _STANDARD_DOMAINS:
            raise WireError("it needs operators outside the ONNX standard")
        if number in children:
            _visit(children[number], _message(value), depth + 1)


def _graph(data: bytes) -> memoryview:
    graphs = [value for number, value in _fields(memoryview(data)) if number == _MODEL_GRAPH]
    if len(graphs) != 1:
        raise WireError("it is not an ONNX model")
    return _message(graphs[0])


def _names(message: memoryview, outer: int, inner: int) -> list[str]:
    """Return the texts of the fields ``inner`` of all fields ``outer``; empty ones are left out."""
    return [
        _text(text).decode(errors="replace")
        for number, value in _fields(message)
        if number == outer
        for key, text in _fields(_message(value))
        if key == inner and _text(text)
    ]


def _without(message: memoryview, left_out: int) -> bytes:
    spans = _spans(message)
    return b"".join(message[start:end] for number, _, start, end in spans if number != left_out)


def _is_key(content: Value, key: bytes) -> bool:
    return any(number == 1 and _text(value) == key for number, value in _fields(_message(content)))


def _text(value: Value) -> bytes:
    return bytes(_message(value))


def _message(value: Value) -> memoryview:
    if isinstance(value, int):
        raise WireError("it is not an ONNX model")
    return value


def _fields(message: memoryview) -> Iterator[tuple[int, Value]]:
    for number, value, _start, _end in _spans(message):
        yield number, value


def _spans(message: memoryview) -> Iterator[tuple[int, Value, int, int]]:
    """Yield (field number, value, start, end) of every field of one message."""
    position, size = 0, len(message)
    while position < size:
        start = position
        tag, position = _varint(message, position)
        number, wire_type = tag >> 3, tag & 7
        value: Value
        if wire_type == _VARINT:
            value, position = _varint(message, position)
        elif wire_type == _BYTES:
            length, position = _varint(message, position)
            value = message[position : position + length]
            position += length
        elif wire_type in (_FIXED32, _FIXED64):
            position += 4 if wire_type == _FIXED32 else 8
            value = 0
        else:
            raise WireError("it is not an ONNX model")
        # A parser that keeps only 32 bits of a tag would read another field.
        if position > size or not 0 < number < _MAX_FIELD:
            raise WireError("it is not an ONNX model")
        yield number, value, start, position


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    result = 0
    for shift in range(0, 70, 7):
        if position >= len(message):
            break
        byte = message[position]
        position += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result, position
    raise WireError("it is not an ONNX model")


def _field(number: int, content: bytes) -> bytes:
    return _encoded((number << 3) | _BYTES) + _encoded(len(content)) + content


def _encoded(number: int) -> bytes:
    encoded = bytearray()
    while number >= 0x80:
        encoded.append((number & 0x7F) | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)

"""Values inside a graph: what they are called, and how to ask for them without parsing the graph.

A serialised protobuf message followed by another of its kind is the two merged: repeated fields are
concatenated, embedded messages merged (protobuf.dev, "Encoding", last one wins). So a graph is given more
outputs by a few bytes after it, and `onnx` is not needed. Field numbers are those of onnx.proto.
"""

from __future__ import annotations

from collections.abc import Iterable

_MODEL_GRAPH, _GRAPH_OUTPUT, _NODE_OUTPUT = 7, 12, 2
_VALUE_NAME, _VALUE_TYPE, _TYPE_TENSOR, _TENSOR_ELEMENT = 1, 2, 1, 1
_FLOAT = 1  # TensorProto.DataType
_BYTES = 2  # protobuf's wire type of everything that states its length


def attention_inputs(layer: int) -> tuple[str, str]:
    """What the query and the key of a layer are called, (batch, length, d_model) float32 each.

    The attention of its head h is softmax(Q K^T / sqrt(K)) of columns h * K to (h + 1) * K of both, where
    K = d_model / n_heads.
    """
    return f"layers.{layer}.query", f"layers.{layer}.key"


def gives(graph: bytes, name: str) -> bool:
    """Whether a node of a serialised graph has an output of this name."""
    return _field(_NODE_OUTPUT, name.encode()) in graph


def with_outputs(graph: bytes, names: Iterable[str]) -> bytes:
    """The serialised graph with these float32 values of its inside as outputs after its own."""
    tensor = bytes([_TENSOR_ELEMENT << 3, _FLOAT])  # of any shape
    kind = _field(_VALUE_TYPE, _field(_TYPE_TENSOR, tensor))
    values = (_field(_VALUE_NAME, name.encode()) + kind for name in names)
    return graph + _field(_MODEL_GRAPH, b"".join(_field(_GRAPH_OUTPUT, value) for value in values))


def _field(number: int, content: bytes) -> bytes:
    return bytes([number << 3 | _BYTES]) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first; the eighth says that more follow."""
    digits = bytearray()
    while value > 0x7F:
        digits.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*digits, value])

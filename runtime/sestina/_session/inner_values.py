"""Values inside a graph: what they are called, and how to ask for them without parsing the graph.

A serialised graph followed by another message of its kind is the two merged, so it is given more outputs by
a few bytes after it, and `onnx` is not needed. Field numbers are those of onnx.proto.
"""

from __future__ import annotations

from collections.abc import Iterable

from sestina._bundle.mapped import MODEL_GRAPH
from sestina._bundle.protobuf import sized, whole

_GRAPH_OUTPUT, _NODE_OUTPUT = 12, 2
_VALUE_NAME, _VALUE_TYPE, _TYPE_TENSOR, _TENSOR_ELEMENT = 1, 2, 1, 1
_FLOAT = 1  # TensorProto.DataType


def attention_inputs(layer: int) -> tuple[str, str]:
    """What the query and the key of a layer are called, (batch, length, width) float32 each.

    The attention of its head h is softmax(Q K^T / sqrt(K)) of columns h * K to (h + 1) * K of both, where
    K = d_model / n_heads, or what the manifest's encoder says of heads, scale, windows and what is added.
    """
    return f"layers.{layer}.query", f"layers.{layer}.key"


def attention_bias(layer: int) -> str:
    """What the terms are called that a layer, as the first of its kind, adds to its scores.

    They are (1 or batch, n_heads or 1, length, length) float32.
    """
    return f"layers.{layer}.bias"


def node_output(name: str) -> bytes:
    """What is among the bytes of a serialised graph where a node of it has an output of this name."""
    return sized(_NODE_OUTPUT, name.encode())


def outputs(names: Iterable[str]) -> bytes:
    """What makes these float32 values of a graph's inside outputs after its own, put after its bytes."""
    kind = sized(_VALUE_TYPE, sized(_TYPE_TENSOR, whole(_TENSOR_ELEMENT, _FLOAT)))  # of any shape
    values = (sized(_VALUE_NAME, name.encode()) + kind for name in names)
    return sized(MODEL_GRAPH, b"".join(sized(_GRAPH_OUTPUT, value) for value in values))

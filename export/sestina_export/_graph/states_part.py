"""What of a graph only outputs of each token need, put at the end of its file so that it can be left out.

Where a vector is made of one token's state, the last layer is in the graph for that token alone, and again
for all tokens. Whatever else is made of every state, beside the vector of a text, goes there too.
`sestina._bundle.states_part` says how a file tells the two apart.
"""

from __future__ import annotations

from typing import Any

import onnx

from sestina._bundle.mapped import MODEL_GRAPH
from sestina._bundle.protobuf import sized
from sestina_export._graph.interface import MASK, STATES

__all__ = ["STATES", "in_parts", "needed_for", "serialised"]


def needed_for(graph: onnx.GraphProto, output: str) -> set[str]:
    """Every value that an output is made of, and itself."""
    needed = {output}
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            needed.update(node.input)
    return needed


def serialised(model: onnx.ModelProto) -> bytes:
    """The bytes of a model, with the states' part at their end where there is one.

    A model without one is serialised as it is.
    """
    return b"".join(in_parts(model))


def in_parts(model: onnx.ModelProto) -> tuple[bytes, bytes]:
    """The bytes of a model without the states' part, and those of the part, which has no weights; or none.

    A graph with a mask, whose shapes are static, is one for all that it gives.
    """
    needed = needed_for(model.graph, model.graph.output[0].name)
    rest = [node for node in model.graph.node if not needed.intersection(node.output)]
    nodes, outputs = list(model.graph.node), list(model.graph.output)
    others = [value for value in outputs if value.name not in needed]
    if not rest or not others or any(value.name == MASK for value in model.graph.input):
        return _bytes(model), b""
    part = onnx.GraphProto()
    part.node.extend(rest)
    part.output.extend(others)
    try:  # in place: of a large graph each copy counts
        _put(model.graph.node, [node for node in nodes if needed.intersection(node.output)])
        _put(model.graph.output, [value for value in outputs if value.name in needed])
        first = _bytes(model)
    finally:
        _put(model.graph.node, nodes)
        _put(model.graph.output, outputs)
    return first, sized(MODEL_GRAPH, _bytes(part))


def _put(field: Any, values: list[Any]) -> None:
    """The members of a repeated field."""
    del field[:]
    field.extend(values)


def _bytes(message: onnx.ModelProto | onnx.GraphProto) -> bytes:
    content: bytes = message.SerializeToString(deterministic=True)
    return content

"""The two parts of a graph: the body, which makes the hidden states, and the head, which reads them."""

from __future__ import annotations

import onnx

from sestina_export._graph.interface import OUTPUTS

__all__ = ["body_nodes", "head_nodes"]


def body_nodes(graph: onnx.GraphProto, *outputs: str) -> list[onnx.NodeProto]:
    """The nodes that make the hidden states, or these outputs, in order."""
    made, body = {*outputs} or {OUTPUTS[1]}, []
    for node in reversed(graph.node):
        if made.intersection(node.output):
            made.update(node.input)
            body.append(node)
    return body[::-1]


def head_nodes(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """All others, in order."""
    made = {name for node in body_nodes(graph) for name in node.output}
    return [node for node in graph.node if not made.intersection(node.output)]

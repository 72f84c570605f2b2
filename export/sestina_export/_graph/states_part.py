"""What of a graph only the hidden states need, put at the end of its file so that a reader can leave it out.

Where a vector is made of one token's state, the last layer is in the graph for that token alone, and again
for all tokens. `sestina._bundle.states_part` says how a file tells the two apart.
"""

from __future__ import annotations

import onnx

from sestina._bundle.mapped import MODEL_GRAPH
from sestina._bundle.protobuf import sized
from sestina_export._graph.interface import OUTPUTS

__all__ = ["STATES", "needed_for", "serialised"]

VECTORS, STATES = OUTPUTS


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
    needed = needed_for(model.graph, VECTORS)
    rest = [node for node in model.graph.node if not needed.intersection(node.output)]
    if not rest or STATES in needed:
        return _bytes(model)
    first = onnx.ModelProto()
    first.CopyFrom(model)
    part = onnx.GraphProto()
    kept = [node for node in model.graph.node if needed.intersection(node.output)]
    del first.graph.node[:]
    first.graph.node.extend(kept)
    part.node.extend(rest)
    (states,) = (value for value in model.graph.output if value.name == STATES)
    part.output.append(states)
    first.graph.output.remove(states)
    return _bytes(first) + sized(MODEL_GRAPH, _bytes(part))


def _bytes(message: onnx.ModelProto | onnx.GraphProto) -> bytes:
    content: bytes = message.SerializeToString(deterministic=True)
    return content

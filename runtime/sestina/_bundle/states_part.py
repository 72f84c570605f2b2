"""What of a graph only the hidden states need, where it can be left out.

onnxruntime computes every node of a graph, whichever outputs a run asks for. Where a text's vector is made of
one token's state, the last layer need compute that token alone, and its other states only for those who ask.
A graph may therefore end with a second message of its kind, the states' part: nodes that nothing else reads,
and the output `last_hidden_state`. The two merged are the graph; without the second it gives vectors alone.
"""

from __future__ import annotations

from sestina._bundle.mapped import MODEL_GRAPH
from sestina._bundle.protobuf import SIZED, Buffer, fields

_GRAPH_NODE, _GRAPH_OUTPUT, _VALUE_NAME = 1, 12, 1
_STATES = b"last_hidden_state"


def states_part(graph: Buffer) -> int:
    """How many bytes at the end of a serialised ModelProto are such a part; 0 where there is none.

    Raises:
        ValueError: Where it is not one.
    """
    top = fields(graph, 0, len(graph))
    graphs = [field for field in top if field.number == MODEL_GRAPH]
    if len(graphs) != 2 or graphs[1] != top[-1]:
        return 0
    inside = fields(graph, graphs[1].value, graphs[1].end)
    values = [field for field in inside if field.number == _GRAPH_OUTPUT]
    if len(values) != 1 or any(field.number not in (_GRAPH_NODE, _GRAPH_OUTPUT) for field in inside):
        return 0
    if values[0].kind != SIZED:
        return 0
    names = [field for field in fields(graph, values[0].value, values[0].end) if field.number == _VALUE_NAME]
    if [graph[name.value : name.end] for name in names] != [_STATES]:
        return 0
    return graphs[1].end - graphs[1].begin

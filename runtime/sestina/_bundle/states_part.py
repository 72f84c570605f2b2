"""What of a graph only outputs of each token need, such as the hidden states, where it can be left out.

onnxruntime computes every node of a graph, whichever outputs a run asks for. Where a text's vector is made of
one token's state, the last layer need compute that token alone, and its other states only for those who ask.
A graph may therefore end with a second message of its kind, the states' part: nodes that nothing else reads,
and the outputs that are made of them: `last_hidden_state`, and of graphs that have them `token_weights` and
`token_embeddings`. The two merged are the graph; without the second it gives vectors alone.
"""

from __future__ import annotations

from sestina._bundle.mapped import MODEL_GRAPH
from sestina._bundle.protobuf import SIZED, Buffer, fields

_GRAPH_NODE, _GRAPH_OUTPUT, _VALUE_NAME = 1, 12, 1
_OF_TOKENS = (b"last_hidden_state", b"token_weights", b"token_embeddings")  # as a graph's outputs stand


def states_part(graph: Buffer) -> tuple[int, tuple[str, ...]]:
    """How many bytes at the end of a graph are its states' part, and the outputs of that; 0, () without one.

    Raises:
        ValueError: Where it is no message of protobuf.
    """
    top = fields(graph, 0, len(graph))
    graphs = [field for field in top if field.number == MODEL_GRAPH]
    if len(graphs) != 2 or graphs[1] != top[-1]:
        return 0, ()
    inside = fields(graph, graphs[1].value, graphs[1].end)
    values = [field for field in inside if field.number == _GRAPH_OUTPUT]
    if not values or any(field.number not in (_GRAPH_NODE, _GRAPH_OUTPUT) for field in inside):
        return 0, ()
    if any(field.kind != SIZED for field in values):
        return 0, ()
    found: list[bytes] = []
    for value in values:
        names = [field for field in fields(graph, value.value, value.end) if field.number == _VALUE_NAME]
        found += [graph[name.value : name.end] for name in names]
    if len(found) != len(values) or found != [name for name in _OF_TOKENS if name in found]:
        return 0, ()
    return graphs[1].end - graphs[1].begin, tuple(name.decode() for name in found)

"""Serialised graphs whose weights can be mapped from the file: each large one begins at a multiple of 64."""

from __future__ import annotations

from sestina._bundle.mapped import ALIGNMENT, MODEL_GRAPH, large_initializers
from sestina._bundle.protobuf import fields, head, sized

__all__ = ["aligned"]

_GRAPH_DOC_STRING = 10  # of onnx.proto
_FILLER = 2  # bytes of the smallest field that can fill a gap: a tag and a length


def aligned(graph: bytes) -> bytes:
    """The same graph with gaps before the values of its large initializers.

    A gap is a doc string of the graph. Of several only the last counts, which is the graph's own, so any
    reader of protobuf sees what it saw before.

    Args:
        graph: A serialised ModelProto, its initializers all in the first message of its graph.
    """
    place = next(field for field in fields(graph, 0, len(graph)) if field.number == MODEL_GRAPH)
    inner = fields(graph, place.value, place.end)
    docs = [graph[field.value : field.end] for field in inner if field.number == _GRAPH_DOC_STRING]
    view = memoryview(graph)
    size = place.end - place.value
    while True:  # how long the graph's own length is depends on the gaps, and they on it; twice will do
        first = place.begin + len(head(MODEL_GRAPH, size))
        parts = _filled(graph, place.value, place.end, first)
        parts.append(sized(_GRAPH_DOC_STRING, (docs or [b""])[-1]))
        found = sum(map(len, parts))
        if len(head(MODEL_GRAPH, found)) == len(head(MODEL_GRAPH, size)):
            return b"".join([view[: place.begin], head(MODEL_GRAPH, found), *parts, view[place.end :]])
        size = found


def _filled(graph: bytes, begin: int, end: int, first: int) -> list[bytes | memoryview]:
    """The parts of a GraphProto with gaps, for a file in which its content begins at byte `first`.

    They are views, to be joined once: of a large graph each copy counts.
    """
    view = memoryview(graph)
    parts: list[bytes | memoryview] = []
    at, written = begin, first
    for each in large_initializers(graph, begin, end):
        parts.append(view[at : each.begin])
        written += each.begin - at
        gap = -(written + each.raw[0] - each.begin) % ALIGNMENT
        if 0 < gap < _FILLER:
            gap += ALIGNMENT
        if gap:
            parts.append(sized(_GRAPH_DOC_STRING, b" " * (gap - _FILLER)))
        parts.append(view[each.begin : each.end])
        written += gap + each.end - each.begin
        at = each.end
    return [*parts, view[at:end]]

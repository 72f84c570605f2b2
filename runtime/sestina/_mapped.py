"""Weights that stay in their file: onnxruntime maps them from there instead of copying them twice.

A graph read as a whole is parsed into one copy of the weights and made into tensors, which are another. An
initializer may instead name a file, an offset and a length (onnx.proto, TensorProto.external_data), and the
file may be the graph's own. So a graph is opened by its outline, of some kilobytes, in which each large
initializer says where in the file its values lie. They are then read when they are first used, and
sessions and processes that use one file share them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from sestina._protobuf import Buffer, fields, sized, whole

# Field numbers of onnx.proto.
MODEL_GRAPH, GRAPH_INITIALIZER, TENSOR_RAW_DATA = 7, 5, 9
_TENSOR_EXTERNAL_DATA, _TENSOR_DATA_LOCATION, _EXTERNAL = 13, 14, 1
_ENTRY_KEY, _ENTRY_VALUE = 1, 2

ALIGNMENT = 64  # bytes, from the beginning of the file: what kernels may expect of a tensor
LEAST_MAPPED = 1 << 16  # bytes; below, opening a view of the file costs more than a copy


class Initializer(NamedTuple):
    """A large constant tensor of a serialised graph.

    Attributes:
        begin, end: From where to where the field is that holds it.
        raw: From where to where its values are.
        raw_begin: Where the field begins that holds them.
    """

    begin: int
    end: int
    raw: tuple[int, int]
    raw_begin: int


def outline(graph: Buffer, file: str) -> bytes | None:
    """A serialised graph without the values of its large initializers that are aligned.

    Args:
        graph: A serialised ModelProto.
        file: The name of the file that holds it, in the directory where onnxruntime is told to look.

    Returns: The outline, in which they are said to be in the file. None where they are not most of it, as in
        a graph that was not written for this.

    Raises:
        ValueError: Where it is not a serialised graph.
    """
    mapped = [
        each
        for field in fields(graph, 0, len(graph))
        if field.number == MODEL_GRAPH
        for each in large_initializers(graph, field.value, field.end)
        if each.raw[0] % ALIGNMENT == 0
    ]
    if 2 * sum(each.end - each.begin for each in mapped) < len(graph):
        return None
    parts = []
    for field in fields(graph, 0, len(graph)):
        if field.number != MODEL_GRAPH:
            parts.append(graph[field.begin : field.end])
            continue
        inner, at = [], field.value
        for each in mapped:
            if field.value <= each.begin < field.end:
                inner += [graph[at : each.begin], _elsewhere(graph, each, file)]
                at = each.end
        parts.append(sized(MODEL_GRAPH, b"".join([*inner, graph[at : field.end]])))
    return b"".join(parts)


def besides(graph: Buffer) -> Iterator[bytes]:
    """A serialised graph in pieces, without the values of its large initializers.

    Raises:
        ValueError: Where it is not a serialised graph.
    """
    at = 0
    for field in fields(graph, 0, len(graph)):
        if field.number == MODEL_GRAPH:
            for each in large_initializers(graph, field.value, field.end):
                yield graph[at : each.raw[0]]
                at = each.raw[1]
    yield graph[at:]


def large_initializers(message: Buffer, begin: int, end: int) -> Iterator[Initializer]:
    """The initializers of a serialised GraphProto, from `begin` to `end`, whose raw data is worth mapping.

    Raises:
        ValueError: Where it is not one.
    """
    for field in fields(message, begin, end):
        if field.number != GRAPH_INITIALIZER or field.end - field.begin < LEAST_MAPPED:
            continue
        raw = [each for each in fields(message, field.value, field.end) if each.number == TENSOR_RAW_DATA]
        if len(raw) == 1 and raw[0].end - raw[0].value >= LEAST_MAPPED:
            yield Initializer(field.begin, field.end, (raw[0].value, raw[0].end), raw[0].begin)


def _elsewhere(graph: Buffer, tensor: Initializer, file: str) -> bytes:
    """The field of an initializer whose values are in a file."""
    (place,) = fields(graph, tensor.begin, tensor.end)
    begin, end = tensor.raw
    kept = graph[place.value : tensor.raw_begin] + graph[end : tensor.end]
    facts = {"location": file, "offset": str(begin), "length": str(end - begin)}
    entries = (
        sized(_TENSOR_EXTERNAL_DATA, sized(_ENTRY_KEY, key.encode()) + sized(_ENTRY_VALUE, value.encode()))
        for key, value in facts.items()
    )
    said = whole(_TENSOR_DATA_LOCATION, _EXTERNAL) + b"".join(entries)
    return sized(GRAPH_INITIALIZER, kept + said)

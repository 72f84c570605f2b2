"""Weights that stay in their file: onnxruntime is given views of them instead of bytes to copy twice.

A graph read as a whole is parsed into one copy of the weights and made into tensors, which are another. But a
session takes tensors of the application's in the place of initializers (`add_initializer`), and they may be
views of the mapped file. So a graph is opened by its outline, of some kilobytes, in which each large
initializer is said to be elsewhere, and with the views. They are then read when they are first used, and
sessions and processes that use one file share them. No session looks for a file by its name, not even for
weights that have a file of their own (`stored`): they are views of that one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod
from typing import TYPE_CHECKING, NamedTuple

from sestina._bundle.protobuf import SIZED, VARINT, Buffer, Place, fields, number, sized, whole

if TYPE_CHECKING:
    from sestina._bundle.stored import Stored

# Field numbers of onnx.proto.
MODEL_GRAPH, GRAPH_INITIALIZER, TENSOR_RAW_DATA = 7, 5, 9
TENSOR_DIMS, TENSOR_TYPE, TENSOR_NAME, TENSOR_DOC = 1, 2, 8, 12
TENSOR_EXTERNAL_DATA, TENSOR_DATA_LOCATION, EXTERNAL = 13, 14, 1
ENTRY_KEY, ENTRY_VALUE = 1, 2

ALIGNMENT = 64  # bytes, from the beginning of the file: what kernels may expect of a tensor
LEAST_MAPPED = 1 << 16  # bytes; below, a view costs more than a copy
# TensorProto.DataType -> what numpy calls it, for the little-endian values of raw_data.
DTYPES = {
    1: "<f4", 2: "|u1", 3: "|i1", 4: "<u2", 5: "<i2", 6: "<i4", 7: "<i8", 9: "|b1", 10: "<f2", 11: "<f8",
    12: "<u4", 13: "<u8",
}  # fmt: skip
SIZES = {dtype: int(dtype[2]) for dtype in DTYPES.values()}


class Initializer(NamedTuple):
    """A large constant tensor of a serialised graph.

    Attributes:
        begin, end: From where to where the field is that holds it.
        raw: From where to where its values are.
        raw_begin: Where the field begins that holds them.
        inside: Its fields.
    """

    begin: int
    end: int
    raw: tuple[int, int]
    raw_begin: int
    inside: tuple[Place, ...]


class View(NamedTuple):
    """An initializer whose values stay where they are: its name, type (as numpy has it), shape and place.

    `file` is the file of weights that has them; empty where the graph does.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    begin: int
    file: str = ""


class Outline(NamedTuple):
    """A serialised graph without the values of its large initializers, and where those are."""

    graph: bytes
    views: tuple[View, ...]


def outline(graph: Buffer, file: str, stored: Sequence[Stored] = ()) -> Outline | None:
    """What to open a serialised graph with.

    Args:
        graph: A serialised ModelProto without external data but that of `stored`.
        file: A name to give as that of the file that has the large initializers. onnxruntime wants to find
            it in the directory where it is told to look, and does not read it.
        stored: Its initializers whose values are in files of weights.

    Returns: None where no values are in other files, and the initializers that are large and aligned are not
        most of it, as in a graph that was not written for this.

    Raises:
        ValueError: Where it is not a serialised graph.
    """
    top = fields(graph, 0, len(graph))
    mapped = {
        each: view
        for field in top
        if field.number == MODEL_GRAPH
        for each in large_initializers(graph, field.value, field.end)
        if each.raw[0] % ALIGNMENT == 0 and (view := _view(graph, each)) is not None
    }
    names = {view.name for view in mapped.values()}
    few = 2 * sum(each.end - each.begin for each in mapped) < len(graph)
    if not stored and (few or len(names) < len(mapped)):
        return None
    pieces = [(each.begin, each.end, _kept(graph, each)) for each in mapped]
    pieces += [(each.begin, each.end, each.kept) for each in stored]
    pieces.sort()
    parts = []
    for field in top:
        if field.number != MODEL_GRAPH:
            parts.append(graph[field.begin : field.end])
            continue
        inner, at = [], field.value
        for begin, end, kept in pieces:
            if field.value <= begin < field.end:
                inner += [graph[at:begin], _elsewhere(kept, file)]
                at = end
        parts.append(sized(MODEL_GRAPH, b"".join([*inner, graph[at : field.end]])))
    views = [View(each.name, each.dtype, each.shape, each.offset, each.file) for each in stored]
    return Outline(b"".join(parts), (*mapped.values(), *views))


def large_initializers(message: Buffer, begin: int, end: int) -> Iterator[Initializer]:
    """The initializers of a serialised GraphProto, from `begin` to `end`, whose raw data is worth mapping.

    Raises:
        ValueError: Where it is not one.
    """
    for field in fields(message, begin, end):
        if field.number != GRAPH_INITIALIZER or field.end - field.begin < LEAST_MAPPED:
            continue
        inside = tuple(fields(message, field.value, field.end))
        raw = [each for each in inside if each.number == TENSOR_RAW_DATA]
        if len(raw) == 1 and raw[0].kind == SIZED and raw[0].end - raw[0].value >= LEAST_MAPPED:
            yield Initializer(field.begin, field.end, (raw[0].value, raw[0].end), raw[0].begin, inside)


def _view(graph: Buffer, tensor: Initializer) -> View | None:
    """None where numpy has no such type, the bytes are not those of the shape, or the name is no text."""
    kinds = [number(graph, each) for each in tensor.inside if each.number == TENSOR_TYPE]
    names = [graph[each.value : each.end] for each in tensor.inside if each.number == TENSOR_NAME]
    dims = [each for each in tensor.inside if each.number == TENSOR_DIMS]
    if len(kinds) != 1 or len(names) != 1 or kinds[0] not in DTYPES or any(d.kind != VARINT for d in dims):
        return None
    dtype, shape = DTYPES[kinds[0]], tuple(number(graph, each) for each in dims)
    if prod(shape) * SIZES[dtype] != tensor.raw[1] - tensor.raw[0]:
        return None
    try:
        return View(names[0].decode(), dtype, shape, tensor.raw[0])
    except UnicodeDecodeError:
        return None


def _kept(graph: Buffer, tensor: Initializer) -> bytes:
    """The fields of an initializer but its values."""
    begin = tensor.inside[0].begin
    return graph[begin : tensor.raw_begin] + graph[tensor.raw[1] : tensor.end]


def _elsewhere(kept: bytes, file: str) -> bytes:
    """The field of an initializer whose values are in a file."""
    place = sized(ENTRY_KEY, b"location") + sized(ENTRY_VALUE, file.encode())
    said = whole(TENSOR_DATA_LOCATION, EXTERNAL) + sized(TENSOR_EXTERNAL_DATA, place)
    return sized(GRAPH_INITIALIZER, kept + said)

"""The same rules for a graph in the .ort format, which onnxruntime's small builds read instead of protobuf.

A FlatBuffer (flatbuffers.dev, "FlatBuffer Internals"; the tables are onnxruntime's ort.fbs): a table begins
with the distance back to its row of offsets, in which each field has a slot. Tables may be shared, so what is
looked at is counted.
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import error as OutOfBounds
from struct import unpack_from

from sestina._bundle.graph_rules import readable, refuse_external, refuse_node, refuse_subgraph
from sestina._bundle.protobuf import MOST_FIELDS, Buffer

_IDENTIFIER = b"ORTM"
_LONGEST_NAME = 1024  # bytes, of an operator or a domain
# Slots of ort.fbs.
_SESSION_MODEL, _MODEL_GRAPH = 1, 7
_GRAPH_INITIALIZERS, _GRAPH_NODES, _GRAPH_SPARSE = 0, 2, 7
_NODE_DOMAIN, _NODE_TYPE, _NODE_ATTRIBUTES = 2, 5, 10
_ATTRIBUTE_TENSOR, _ATTRIBUTE_GRAPH, _ATTRIBUTE_TENSORS, _ATTRIBUTE_GRAPHS = 6, 7, 11, 12
_TENSOR_EXTERNAL_OFFSET = 6
_SPARSE_TENSORS = (0, 1)


def is_ort(graph: Buffer) -> bool:
    """Whether onnxruntime takes these bytes for its own format: by the identifier that it looks for."""
    return graph[4:8] == _IDENTIFIER


def check_ort(graph: Buffer, where: str) -> None:
    """Refuse a graph in the .ort format that is not what a bundle may hold. `where` names it in errors.

    Raises:
        BundleFormatError: Where it has control flow or a foreign operator, or is no such graph.
        BundleIntegrityError: Where a tensor is in another file.
    """
    with readable(where, ValueError, OutOfBounds):
        _Walk(graph, where).session()


class _Walk:
    """Of one graph, in bounded time: a place is a byte of the file at which a table begins."""

    def __init__(self, graph: Buffer, where: str) -> None:
        self._graph, self._where = graph, where
        self._left = MOST_FIELDS

    def session(self) -> None:
        for model in self._inner(self._follow(0), _SESSION_MODEL):
            for graph in self._inner(model, _MODEL_GRAPH):
                for tensor in self._several(graph, _GRAPH_INITIALIZERS):
                    self._tensor(tensor)
                for sparse in self._several(graph, _GRAPH_SPARSE):
                    self._sparse(sparse)
                for node in self._several(graph, _GRAPH_NODES):
                    self._node(node)

    def _node(self, node: int) -> None:
        refuse_node(self._where, self._string(node, _NODE_DOMAIN), self._string(node, _NODE_TYPE))
        for attribute in self._several(node, _NODE_ATTRIBUTES):
            # A list of graphs may be there and empty.
            if self._slot(attribute, _ATTRIBUTE_GRAPH) or self._length(attribute, _ATTRIBUTE_GRAPHS):
                refuse_subgraph(self._where)
            for tensor in self._inner(attribute, _ATTRIBUTE_TENSOR):
                self._tensor(tensor)
            for tensor in self._several(attribute, _ATTRIBUTE_TENSORS):
                self._tensor(tensor)

    def _sparse(self, sparse: int) -> None:
        for slot in _SPARSE_TENSORS:
            for tensor in self._inner(sparse, slot):
                self._tensor(tensor)

    def _tensor(self, tensor: int) -> None:
        at = self._slot(tensor, _TENSOR_EXTERNAL_OFFSET)
        if at and unpack_from("<q", self._graph, at)[0] >= 0:
            refuse_external(self._where)

    def _slot(self, table: int, number: int) -> int:
        """Where a field of a table is; 0 where the table does not have it."""
        self._count(1)
        row = table - unpack_from("<i", self._graph, table)[0]
        if row < 0:
            raise ValueError(f"a table at byte {table} has no fields")
        at = 4 + 2 * number
        if at + 2 > unpack_from("<H", self._graph, row)[0]:
            return 0
        offset: int = unpack_from("<H", self._graph, row + at)[0]
        return offset and table + offset

    def _follow(self, at: int) -> int:
        """Where the offset at this byte leads."""
        return at + int(unpack_from("<I", self._graph, at)[0])

    def _inner(self, table: int, number: int) -> Iterator[int]:
        """The table that a field holds, if there is one."""
        at = self._slot(table, number)
        if at:
            yield self._follow(at)

    def _length(self, table: int, number: int) -> int:
        at = self._slot(table, number)
        return int(unpack_from("<I", self._graph, self._follow(at))[0]) if at else 0

    def _several(self, table: int, number: int) -> Iterator[int]:
        """Those that a field holds a list of."""
        count = self._length(table, number)
        self._count(count)
        if count:
            first = self._follow(self._slot(table, number)) + 4
            for index in range(count):
                yield self._follow(first + 4 * index)

    def _string(self, table: int, number: int) -> bytes:
        at = self._slot(table, number)
        if not at:
            return b""
        begin = self._follow(at)
        size = int(unpack_from("<I", self._graph, begin)[0])
        if size > _LONGEST_NAME:
            raise ValueError(f"a name of {size} bytes")
        return self._graph[begin + 4 : begin + 4 + size]

    def _count(self, more: int) -> None:
        self._left -= more
        if self._left < 0:
            raise ValueError(f"more than {MOST_FIELDS} fields")

"""What a graph may be: no weights elsewhere, no control flow, nothing by chance. Checked before it is opened.

onnxruntime would read tensors from any file that a graph names, and run a loop of 2^62 rounds. So the whole
serialised ModelProto is walked, to every place where onnx.proto has a TensorProto or a node; the bytes of the
weights are not looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING, NoReturn

from sestina._bundle.protobuf import MOST_FIELDS, SIZED, Buffer, Place, fields, number
from sestina._errors import BundleFormatError, BundleIntegrityError
from sestina._handlers import let_through
from sestina._process.native import opening

if TYPE_CHECKING:
    from sestina._bundle.stored import Stored

_NONE: Mapping[str, int] = MappingProxyType({})
# Field numbers of onnx.proto.
_MODEL_GRAPH, _MODEL_TRAINING, _MODEL_FUNCTIONS = 7, 20, 25
_GRAPH_NODE, _GRAPH_INITIALIZER, _GRAPH_SPARSE = 1, 5, 15
_NODE_TYPE, _NODE_ATTRIBUTE, _NODE_DOMAIN = 4, 5, 7
_TENSOR_NAME, _TENSOR_EXTERNAL, _TENSOR_LOCATION = 8, 13, 14
_TENSORS, _SPARSES, _GRAPHS = (5, 10), (22, 23), (6, 11)  # of an attribute: one, or several
_SPARSE_TENSORS = (1, 2)  # its values and their indices

# Where operators come from: the standard, onnxruntime's own, and what it makes of them for some layouts.
DOMAINS = frozenset((b"", b"ai.onnx", b"com.microsoft", b"com.microsoft.nchwc", b"com.ms.internal.nhwc"))
# Control flow, of which a round may be repeated for ever; graphs in a form that only a driver can read, from
# another file perhaps; and what gives another value at every run.
REFUSED = frozenset((
    b"Loop", b"Scan", b"If", b"SequenceMap",
    b"BeamSearch", b"GreedySearch", b"Sampling", b"WhisperBeamSearch",
    b"EPContext", b"Snpe",
    b"Bernoulli", b"Multinomial",
    b"RandomNormal", b"RandomNormalLike", b"RandomUniform", b"RandomUniformLike",
))  # fmt: skip


def refuse_node(where: str, domain: bytes, operator: bytes) -> None:
    """Refuse a node that no graph of a text encoder needs.

    Raises:
        BundleFormatError: Where it is one.
    """
    if operator in REFUSED:
        raise BundleFormatError(
            f"{where} has a node of type {operator.decode()}, which a bundle may not: export the bundle again"
        )
    if domain not in DOMAINS:
        name = domain.decode(errors="replace")
        raise BundleFormatError(
            f"{where} has an operator of the domain {name!r:.60}, which a bundle may not: export the bundle "
            "again"
        )


def refuse_subgraph(where: str) -> None:
    """Refuse a graph inside a graph, whatever operator would run it."""
    raise BundleFormatError(
        f"{where} has a graph inside a node, which a bundle may not: export the bundle again"
    )


def refuse_external(where: str) -> None:
    """Refuse weights in another file."""
    raise BundleIntegrityError(
        f"{where} keeps its weights in another file, which a bundle may not: export the bundle again"
    )


def check_onnx(graph: Buffer, where: str, weights: Mapping[str, int] = _NONE) -> tuple[Stored, ...]:
    """Refuse a serialised ModelProto that is not what a bundle may hold.

    Args:
        graph: It.
        where: Its name in errors.
        weights: The files that may have values of its initializers, and the size of each in bytes.

    Returns: the initializers whose values they have.

    Raises:
        BundleFormatError: Where it has control flow, functions of its own or a foreign operator, or is not
            canonical protobuf.
        BundleIntegrityError: Where a tensor is in another file, or not where and how it may be.
    """
    with readable(where, ValueError):
        walk = _Walk(graph, where, weights)
        walk.model()
        return walk.all_stored()


@contextmanager
def readable(where: str, *errors: type[Exception]) -> Iterator[None]:
    """What shows inside the block that this is no graph is said in our own words; ours pass."""
    try:
        yield
    except (BundleFormatError, BundleIntegrityError):
        raise
    except errors as error:
        let_through(error)
        raise BundleFormatError(
            f"{where} is not a graph that can be read ({error}): export the bundle again"
        ) from None


class _Walk:
    """Of one graph, in bounded time. It never goes deeper than a tensor of a node: no graph is in another."""

    def __init__(self, graph: Buffer, where: str, weights: Mapping[str, int]) -> None:
        self._graph, self._where, self._weights = graph, where, weights
        self._left = MOST_FIELDS
        self._initializers = set[bytes]()
        self._stored: list[Stored] = []

    def model(self) -> None:
        for field in self._fields(0, len(self._graph)):
            if field.number == _MODEL_GRAPH:
                self._in_graph(*self._message(field))
            elif field.number in (_MODEL_FUNCTIONS, _MODEL_TRAINING):
                what = "functions" if field.number == _MODEL_FUNCTIONS else "training steps"
                raise BundleFormatError(
                    f"{self._where} has {what} of its own, which a bundle may not: export the bundle again"
                )

    def _in_graph(self, begin: int, end: int) -> None:
        for field in self._fields(begin, end):
            if field.number == _GRAPH_NODE:
                self._node(*self._message(field))
            elif field.number == _GRAPH_INITIALIZER:
                name = self._initializer(field)
                if name in self._initializers:  # readers differ on which of them counts
                    raise ValueError(f"two initializers are called {name.decode(errors='replace')!r:.60}")
                self._initializers.add(name)
            elif field.number == _GRAPH_SPARSE:
                self._sparse(*self._message(field))

    def _node(self, begin: int, end: int) -> None:
        """Every operator and every domain that it names counts, though protobuf would take the last."""
        operators, domains = [], []
        for field in self._fields(begin, end):
            if field.number == _NODE_TYPE:
                operators.append(self._content(field))
            elif field.number == _NODE_DOMAIN:
                domains.append(self._content(field))
            elif field.number == _NODE_ATTRIBUTE:
                self._attribute(*self._message(field))
        for operator in operators or [b""]:
            for domain in domains or [b""]:
                refuse_node(self._where, domain, operator)

    def _attribute(self, begin: int, end: int) -> None:
        for field in self._fields(begin, end):
            if field.number in _TENSORS:
                self._tensor(*self._message(field))
            elif field.number in _SPARSES:
                self._sparse(*self._message(field))
            elif field.number in _GRAPHS:
                refuse_subgraph(self._where)

    def _sparse(self, begin: int, end: int) -> None:
        for field in self._fields(begin, end):
            if field.number in _SPARSE_TENSORS:
                self._tensor(*self._message(field))

    def _initializer(self, field: Place) -> bytes:
        """Its name. Of a graph that has files of weights its values may be there."""
        inside = self._fields(*self._message(field))
        if self._weights and any(self._is_elsewhere(each) for each in inside):
            return self._store(field, inside)
        return self._inside(inside)

    def _tensor(self, begin: int, end: int) -> None:
        self._inside(self._fields(begin, end))

    def _inside(self, inside: Sequence[Place]) -> bytes:
        """The name of a tensor whose values are its own."""
        name = b""
        for field in inside:
            if field.number == _TENSOR_NAME:
                name = self._content(field)
            elif self._is_elsewhere(field):
                refuse_external(self._where)
        return name

    def _is_elsewhere(self, field: Place) -> bool:
        return field.number == _TENSOR_EXTERNAL or (
            field.number == _TENSOR_LOCATION and number(self._graph, field) != 0
        )

    def _store(self, field: Place, inside: Sequence[Place]) -> bytes:
        with opening:
            from sestina._bundle.stored import read_stored  # only here: most bundles have none

        try:
            found = read_stored(self._graph, field, inside, self._weights)
        except ValueError as error:
            self._refuse_place(error)
        self._stored.append(found)
        return found.name.encode()

    def all_stored(self) -> tuple[Stored, ...]:
        """The initializers whose values are in files of weights, once these are found not to overlap."""
        if self._stored:
            with opening:
                from sestina._bundle.stored import check_apart

            try:
                check_apart(self._stored)
            except ValueError as error:
                self._refuse_place(error)
        return tuple(self._stored)

    def _refuse_place(self, error: ValueError) -> NoReturn:
        let_through(error)
        raise BundleIntegrityError(
            f"{self._where} keeps weights in another file in a way that a bundle may not ({error}): export "
            "the bundle again"
        ) from None

    def _fields(self, begin: int, end: int) -> list[Place]:
        found = fields(self._graph, begin, end, self._left)
        self._left -= len(found)
        return found

    def _message(self, field: Place) -> tuple[int, int]:
        if field.kind != SIZED:
            raise ValueError(f"no message at byte {field.begin}")
        return field.value, field.end

    def _content(self, field: Place) -> bytes:
        begin, end = self._message(field)
        return self._graph[begin:end]

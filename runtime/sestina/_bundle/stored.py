"""Weights in files of their own: what a graph may say of where the values of its initializers are.

A file of protobuf ends at 2 GiB. In a bundle of format version 2 an initializer of the graph may therefore
have its values in a file that its variant lists. ONNX calls that external data and leaves much open; here it
is written in one way, so that no two readers can find other values. No session ever looks for such a file: it
is opened with the bundle, and mapped (`mapped`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import prod
from typing import NamedTuple

from sestina._bundle.mapped import (
    ALIGNMENT,
    DTYPES,
    ENTRY_KEY,
    ENTRY_VALUE,
    EXTERNAL,
    LEAST_MAPPED,
    SIZES,
    TENSOR_DATA_LOCATION,
    TENSOR_DIMS,
    TENSOR_DOC,
    TENSOR_EXTERNAL_DATA,
    TENSOR_NAME,
    TENSOR_TYPE,
)
from sestina._bundle.protobuf import SIZED, VARINT, Buffer, Place, fields, number, whole

_KEYS = (b"location", b"offset", b"length")
_FIELDS = (TENSOR_DIMS, TENSOR_TYPE, TENSOR_NAME, TENSOR_DOC, TENSOR_EXTERNAL_DATA, TENSOR_DATA_LOCATION)
_MOST_DIGITS = 19  # of a number of 63 bits


class Stored(NamedTuple):
    """An initializer whose values are in a file of weights.

    Attributes:
        begin, end: From where to where the field of the graph is that says so.
        kept: Its fields but those that say where the values are.
        name, dtype, shape: Of the tensor, its type as numpy has it.
        file, offset, size: Where the values are, in bytes.
    """

    begin: int
    end: int
    kept: bytes
    name: str
    dtype: str
    shape: tuple[int, ...]
    file: str
    offset: int
    size: int


def read_stored(graph: Buffer, field: Place, inside: Sequence[Place], files: Mapping[str, int]) -> Stored:
    """What an initializer says of where its values are, once that is found to be written as it must be.

    Args:
        graph: The serialised graph.
        field: The initializer.
        inside: Its fields.
        files: The files of weights, and the size of each in bytes.

    Raises:
        ValueError: Where it is not so; the message has no name of a file in it.
    """
    by = {kind: [each for each in inside if each.number == kind] for kind in _FIELDS}
    types, names, said = by[TENSOR_TYPE], by[TENSOR_NAME], by[TENSOR_DATA_LOCATION]
    if sum(map(len, by.values())) != len(inside):
        raise ValueError("it has values of its own, or what is not known, too")
    if not len(types) == len(names) == len(said) == 1 or names[0].kind != SIZED:
        raise ValueError("its name, its type or its data_location is not there once")
    if graph[said[0].begin : said[0].end] != whole(TENSOR_DATA_LOCATION, EXTERNAL):
        raise ValueError("its data_location is not EXTERNAL")
    dtype = DTYPES.get(number(graph, types[0]))
    if dtype is None:
        raise ValueError("it is of a type that numpy does not have")
    if any(each.kind != VARINT for each in by[TENSOR_DIMS]):
        raise ValueError("its dims are packed")
    entries = [_entry(graph, each) for each in by[TENSOR_EXTERNAL_DATA]]
    if tuple(key for key, _ in entries) != _KEYS:
        raise ValueError("its external_data is not location, offset and length, in this order")
    (_, location), (_, begin), (_, count) = entries
    file = location.decode("ascii", "replace")
    if file not in files:
        raise ValueError("its values are in a file that its variant does not list")
    shape = tuple(number(graph, each) for each in by[TENSOR_DIMS])
    offset, size = _digits(begin), _digits(count)
    if offset % ALIGNMENT:
        raise ValueError(f"its values begin at byte {offset}, no multiple of {ALIGNMENT}")
    if size != prod(shape) * SIZES[dtype] or size < LEAST_MAPPED:
        raise ValueError(f"{size} bytes are not the values of its shape, or fewer than {LEAST_MAPPED}")
    if offset + size > files[file]:
        raise ValueError("its values end beyond their file")
    kept = [each for each in inside if each.number in (TENSOR_DIMS, TENSOR_TYPE, TENSOR_NAME)]
    content = b"".join(graph[each.begin : each.end] for each in kept)
    name = graph[names[0].value : names[0].end].decode()  # UnicodeDecodeError is a ValueError
    return Stored(field.begin, field.end, content, name, dtype, shape, file, offset, size)


def check_apart(stored: Iterable[Stored]) -> None:
    """Refuse initializers whose values overlap: nobody writes them so, and they could be more than the file.

    Raises:
        ValueError: Naming the second of two.
    """
    end, before = 0, ""
    for each in sorted(stored, key=lambda each: (each.file, each.offset)):
        if each.file == before and each.offset < end:
            raise ValueError(f"the values of {each.name!r:.60} overlap others")
        before, end = each.file, each.offset + each.size


def _entry(graph: Buffer, field: Place) -> tuple[bytes, bytes]:
    """Key and value of an entry of external_data."""
    if field.kind != SIZED:
        raise ValueError("an entry of its external_data is no message")
    inside = fields(graph, field.value, field.end)
    if [(each.number, each.kind) for each in inside] != [(ENTRY_KEY, SIZED), (ENTRY_VALUE, SIZED)]:
        raise ValueError("an entry of its external_data is not one key and one value")
    key, value = (graph[each.value : each.end] for each in inside)
    return key, value


def _digits(text: bytes) -> int:
    """A number as JSON writes whole ones: digits alone, none before them that is 0."""
    if not text.isdigit() or len(text) > _MOST_DIGITS or (text[:1] == b"0" and text != b"0"):
        raise ValueError("its offset or length is no number of plain digits")
    return int(text)

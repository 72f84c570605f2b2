"""Just enough of protobuf's wire format to read and write a graph's outline without parsing the graph.

The source: protobuf.dev, "Encoding". A message is a row of fields, each a tag (its number and wire type) and
a value. A message followed by another of its kind is the two merged: repeated fields are concatenated,
embedded messages merged, and of any other field the last one counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from mmap import mmap
from typing import NamedTuple

Buffer = bytes | mmap

_VARINT, _EIGHT_BYTES, _SIZED, _FOUR_BYTES = 0, 1, 2, 5  # wire types
_LONGEST = 63  # bits


class Place(NamedTuple):
    """A field of a message: its number, where it begins, and from where to where its value is."""

    number: int
    begin: int
    value: int
    end: int


def fields(message: Buffer, begin: int, end: int) -> Iterator[Place]:
    """The fields of a message that lies from `begin` to `end`, in order.

    Raises:
        ValueError: Where it is not a row of fields.
    """
    at = begin
    while at < end:
        start = at
        tag, value = _read_varint(message, at, end)
        number, kind = tag >> 3, tag & 7
        if kind == _SIZED:
            size, value = _read_varint(message, value, end)
            at = value + size
        elif kind == _VARINT:
            _, at = _read_varint(message, value, end)
        elif kind in (_EIGHT_BYTES, _FOUR_BYTES):
            at = value + (8 if kind == _EIGHT_BYTES else 4)
        else:
            raise ValueError(f"wire type {kind} at byte {start}")
        if at > end:
            raise ValueError(f"a field at byte {start} ends beyond its message")
        yield Place(number, start, value, at)


def sized(number: int, content: bytes) -> bytes:
    """A field that holds a string, bytes or a message."""
    return head(number, len(content)) + content


def head(number: int, size: int) -> bytes:
    """What comes before the content of such a field, of so many bytes."""
    return _varint(number << 3 | _SIZED) + _varint(size)


def whole(number: int, value: int) -> bytes:
    """A field that holds a whole number of at least 0."""
    return _varint(number << 3 | _VARINT) + _varint(value)


def _varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first; the eighth says that more follow."""
    digits = bytearray()
    while value > 0x7F:
        digits.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*digits, value])


def _read_varint(message: Buffer, at: int, end: int) -> tuple[int, int]:
    """The number at this byte, and the byte after it."""
    value = shift = 0
    if at < end and message[at] < 0x80:  # nearly all are of one byte
        return message[at], at + 1
    while at < end:
        digit = message[at]
        at += 1
        value |= (digit & 0x7F) << shift
        if digit < 0x80:
            return value, at
        shift += 7
        if shift > _LONGEST:
            break
    raise ValueError("a number has no end")

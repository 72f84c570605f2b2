"""Just enough of protobuf's wire format to read a graph without parsing it, and to write its outline.

The source: protobuf.dev, "Encoding". A message is a row of fields, each a tag (its number and wire type) and
a value. A message followed by another of its kind is the two merged: repeated fields are concatenated,
embedded messages merged, and of any other field the last one counts.

Readers of protobuf agree on what is written as writers write it. They differ on the rest: some cut a long tag
to 32 bits, some refuse it, and a padded number is the same number to most. So what is read here is canonical:
each tag and each length in as few bytes as it takes, no groups, nothing beyond its message.
"""

from __future__ import annotations

from mmap import mmap
from typing import NamedTuple

Buffer = bytes | mmap

VARINT, EIGHT_BYTES, SIZED, FOUR_BYTES = 0, 1, 2, 5  # wire types
_LONGEST = 10  # bytes of a number of 64 bits
_MOST_TAG, _MOST_SIZE = (1 << 32) - 1, (1 << 31) - 1
MOST_FIELDS = 1 << 20  # a graph has some thousands


class Place(NamedTuple):
    """A field of a message: its number and wire type, where it begins, and where its value lies."""

    number: int
    kind: int
    begin: int
    value: int
    end: int


def fields(message: Buffer, begin: int, end: int, most: int = MOST_FIELDS) -> list[Place]:
    """The fields of a message that lies from `begin` to `end`, in order.

    Raises:
        ValueError: Where it is not a row of canonical fields, or has more than `most`.
    """
    found: list[Place] = []
    add, make, at = found.append, tuple.__new__, begin
    if not 0 <= begin <= end <= len(message):
        raise ValueError("a message ends beyond its file")
    while at < end:
        start = at
        tag, value = message[at], at + 1
        if tag > 0x7F:
            tag, value = _canonical(message, at, end, _MOST_TAG)
        number, kind = tag >> 3, tag & 7
        if kind == SIZED:
            if value < end and message[value] < 0x80:  # nearly all are of one byte
                size, value = message[value], value + 1
            else:
                size, value = _canonical(message, value, end, _MOST_SIZE)
            at = value + size
        elif kind == VARINT:
            _, at = _number(message, value, end)
        elif kind in (EIGHT_BYTES, FOUR_BYTES):
            at = value + (8 if kind == EIGHT_BYTES else 4)
        else:
            raise ValueError(f"wire type {kind} at byte {start}")
        if at > end:
            raise ValueError(f"a field at byte {start} ends beyond its message")
        if not number:
            raise ValueError(f"a field without a number at byte {start}")
        if len(found) >= most:
            raise ValueError(f"more than {MOST_FIELDS} fields")
        add(make(Place, (number, kind, start, value, at)))  # half the time of Place(...)
    return found


def number(message: Buffer, place: Place) -> int:
    """The value of a field that holds a whole number, from 0 to 2^64 - 1."""
    if place.kind != VARINT:
        raise ValueError(f"no number at byte {place.begin}")
    return _number(message, place.value, place.end)[0]


def sized(number: int, content: bytes) -> bytes:
    """A field that holds a string, bytes or a message."""
    return head(number, len(content)) + content


def head(number: int, size: int) -> bytes:
    """What comes before the content of such a field, of so many bytes."""
    return _varint(number << 3 | SIZED) + _varint(size)


def whole(number: int, value: int) -> bytes:
    """A field that holds a whole number of at least 0."""
    return _varint(number << 3 | VARINT) + _varint(value)


def _varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first; the eighth says that more follow."""
    digits = bytearray()
    while value > 0x7F:
        digits.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*digits, value])


def _canonical(message: Buffer, at: int, end: int, most: int) -> tuple[int, int]:
    """A number that is written as short as it can be and no larger than `most`, and the byte after it."""
    value, after = _number(message, at, end)
    if value > most or (message[after - 1] == 0 and after - at > 1):
        raise ValueError(f"a number at byte {at} is too large or too long")
    return value, after


def _number(message: Buffer, at: int, end: int) -> tuple[int, int]:
    """The number at this byte, and the byte after it."""
    value = 0
    for count in range(min(_LONGEST, end - at)):
        digit = message[at + count]
        value |= (digit & 0x7F) << 7 * count
        if digit < 0x80:
            return value & (1 << 64) - 1, at + count + 1
    raise ValueError(f"a number at byte {at} has no end")

"""Protobuf's wire format written in every way that a reader may meet, the unusual ones too.

The source: protobuf.dev, "Encoding". A tree is a list of [number, kind, value] with kind "varint", "64", "32",
"bytes" or "message", whose value is a tree again.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Tree = list[list[Any]]

# ONNX's messages: for each, the numbers of the fields that hold messages, and which. (onnx.proto)
SCHEMA: dict[str, dict[int, str]] = {
    "Model": {7: "Graph", 8: "OperatorSet", 14: "Entry", 20: "Training", 25: "Function"},
    "Graph": {
        1: "Node",
        5: "Tensor",
        11: "Value",
        12: "Value",
        13: "Value",
        14: "Annotation",
        15: "Sparse",
        16: "Entry",
    },
    "Node": {5: "Attribute", 9: "Entry"},
    "Attribute": {
        5: "Tensor",
        6: "Graph",
        10: "Tensor",
        11: "Graph",
        22: "Sparse",
        23: "Sparse",
        14: "Type",
        15: "Type",
    },
    "Tensor": {3: "Segment", 13: "Entry", 16: "Entry"},
    "Sparse": {1: "Tensor", 2: "Tensor"},
    "Value": {2: "Type", 4: "Entry"},
    "Training": {1: "Graph", 2: "Graph", 3: "Entry", 4: "Entry"},
    "Function": {7: "Node", 9: "OperatorSet", 11: "Attribute", 12: "Value", 14: "Entry"},
    "Annotation": {2: "Entry"},
}
_KINDS = {0: "varint", 1: "64", 2: "bytes", 5: "32"}


def parsed(content: bytes, message: str = "Model") -> Tree:
    """The tree of a message as protobuf itself writes it."""
    tree, at, inner = [], 0, SCHEMA.get(message, {})
    while at < len(content):
        tag, at = _number(content, at)
        number, kind = tag >> 3, _KINDS[tag & 7]
        value: Any
        if kind == "varint":
            value, at = _number(content, at)
        else:
            size = {"64": 8, "32": 4}.get(kind)
            if size is None:
                size, at = _number(content, at)
            value, at = content[at : at + size], at + size
        if number in inner and kind == "bytes":
            kind, value = "message", parsed(value, inner[number])
        tree.append([number, kind, value])
    return tree


def _number(content: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        value |= (content[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if content[at - 1] < 0x80:
            return value, at


def walk(tree: Tree, message: str = "Model") -> Iterator[tuple[str, Tree, int]]:
    """Every field, as the name of its message, the tree that holds it and its index there."""
    inner = SCHEMA.get(message, {})
    for at, (number, kind, value, *_) in enumerate(tree):
        yield message, tree, at
        if kind == "message":
            yield from walk(value, inner.get(number, ""))


def varint(value: int, pad: int = 0) -> bytes:
    """A number in so many bytes more than it needs."""
    digits = bytearray()
    while value > 0x7F:
        digits.append(value & 0x7F | 0x80)
        value >>= 7
    digits.append(value)
    for _ in range(pad):
        digits[-1] |= 0x80
        digits.append(0)
    return bytes(digits)


def serialised(tree: Tree) -> bytes:
    """The bytes of a tree. A field may have a fourth member: the ways in which it is written (`_field`)."""
    return b"".join(_field(*field) for field in tree)


def _field(number: int, kind: str, value: Any, ways: dict[str, Any] | None = None) -> bytes:
    ways = ways or {}
    if kind == "raw":
        return bytes.fromhex(value)
    content = serialised(value) if kind == "message" else value
    wire = {"varint": 0, "64": 1, "bytes": 2, "message": 2, "32": 5}[kind]
    # Bits of a tag above the 32nd are cut off by readers that follow protobuf.
    tag = number << 3 | wire | ways.get("high", 0) << 32
    if ways.get("group") and kind == "message":
        end = varint(number << 3 | 4, ways.get("pad", 0))
        return varint(number << 3 | 3, ways.get("pad", 0)) + content + end
    head = varint(tag, ways.get("pad", 0))
    if kind == "varint":
        return head + varint(content, ways.get("pad-value", 0))
    if kind in ("64", "32"):
        return bytes(head + content)
    size = len(content) | ways.get("high-size", 0) << 32
    return bytes(head + varint(size, ways.get("pad-size", 0)) + content)


def split(tree: Tree, at: int, cut: int) -> None:
    """A message field in two, which are the same as the one: its fields are merged."""
    number, _, value, *ways = tree[at]
    tree[at : at + 1] = [[number, "message", value[:cut], *ways], [number, "message", value[cut:], *ways]]


def external(location: str, offset: int | None = 0, length: int | None = None) -> Tree:
    """The fields of a tensor that say that its values are in another file."""
    facts = {"location": location, "offset": offset, "length": length}
    entries: Tree = [[14, "varint", 1]]
    for key, value in facts.items():
        if value is not None:
            pair = [[1, "bytes", key.encode()], [2, "bytes", str(value).encode()]]
            entries.append([13, "message", pair])
    return entries

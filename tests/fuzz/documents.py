"""JSON documents altered: every member, in type, size and form, as data that can be told and kept."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator, Sequence
from typing import Any

Path = list[Any]  # keys and indices from the root
Step = list[Any]  # the name of a change and what it needs

# What json.dumps cannot write is marked, and put in afterwards.
_MARK, _TWICE = "@raw:", "@twice:"
_RAW = {
    "nan": "NaN",
    "infinity": "Infinity",
    "minus-infinity": "-Infinity",
    "1e400": "1e400",
    "digits": "9" * 5000,
    "deep": "[" * 5000 + "]" * 5000,
    "deep-objects": '{"a":' * 3000 + "1" + "}" * 3000,
    "float-one": "1.0",
    "exponent": "1E0",
    "surrogate": '"\\ud800"',
    "two-surrogates": '"\\udc00\\ud800"',
    "comment": "/* */ 1",
    "bare": "yes",
    "control": '"a\tb"',
}
RAW = tuple(_MARK + name for name in _RAW)

_NUMBERS = (0, -1, 1, 2, 3, 63, 64, 65, 255, 65536, 2**31 - 1, 2**31, 2**32, 2**63 - 1, 2**63, 2**64, 10**30)
_FLOATS = (1.0, 0.5, -0.0, -1.5, 1e-320, 1e308, 1e-7)
_TEXTS = (
    "",
    "a",
    "\0",
    "a\nb",
    "é",
    "../x",
    "/etc/passwd",
    ".",
    "x" * 5000,
    "\u2028",
    "fp32",
    "dynamic",
    "%s{0}\\",
    "‮",
)
_SHAPES = ([], {}, [None], [[]], [0], [1, 2], ["a"], {"a": None}, {"": []}, {"__class__": "x"})
ODD: tuple[Any, ...] = (None, True, False, *_NUMBERS, *_FLOATS, *_TEXTS, *_SHAPES, *RAW)


def places(document: Any, at: Sequence[Any] = ()) -> Iterator[Path]:
    """The path of every member, the root last."""
    pairs = (
        document.items()
        if isinstance(document, dict)
        else enumerate(document)
        if isinstance(document, list)
        else ()
    )
    for key, value in pairs:
        yield from places(value, [*at, key])
    yield list(at)


def at(document: Any, path: Path) -> Any:
    """What is there."""
    for key in path:
        document = document[key]
    return document


def odd(rng: random.Random, value: Any) -> Any:
    """A value to put in the place of another: some are near to it, most are not."""
    near: list[Any] = [[value], {"a": value}, str(value)[:50], None]
    if isinstance(value, int) and not isinstance(value, bool):
        near += [value - 1, value + 1, -value, value * 2, value // 2, float(value), value * 1000, 1]
    if isinstance(value, float):
        near += [value * 10, -value, value / 1e6, 0.0]
    if isinstance(value, str):
        near += [value + "x", value[:-1], value.upper(), value * 2, value + "\0", " " + value, value * 500]
    if isinstance(value, list):
        near += [value[:1], value[:-1], value + value, value[::-1], []]
    return rng.choice(near if rng.random() < 0.4 else ODD)


def change(rng: random.Random, document: Any, among: Sequence[Path] | None = None) -> Step:
    """One change to a document, of one of its members or of those given."""
    known = list(among) if among is not None else [path for path in places(document) if path]
    path = rng.choice(known)
    kind = rng.choices(("set", "drop", "twice", "add", "swap", "again", "rename"), (12, 3, 2, 2, 2, 2, 1))[0]
    if kind in ("drop", "again"):
        return [kind, path]
    if kind == "swap":
        return [kind, path, rng.choice(known)]
    if kind == "rename":
        return [kind, path, rng.choice(("x", "", str(path[-1]) + " ", str(path[-1]).upper()))]
    if kind == "add":
        return [kind, path, rng.choice(("x", "", "__proto__", "y" * 300)), rng.choice(ODD)]
    return [kind, path, odd(rng, at(document, path))]


def changed(document: Any, steps: Sequence[Step]) -> bytes:
    """The document with these changes, as it is written. A change whose place is gone does nothing."""
    document = copy.deepcopy(document)
    for kind, path, *rest in steps:
        try:
            if kind == "add":
                at(document, path)[rest[0]] = rest[1]
                continue
            holder = at(document, path[:-1])
            if kind == "set":
                holder[path[-1]] = rest[0]
            elif kind == "drop":
                del holder[path[-1]]
            elif kind == "twice":
                holder[_TWICE + path[-1]] = rest[0]
            elif kind == "again":
                holder.insert(path[-1], copy.deepcopy(holder[path[-1]]))
            elif kind == "rename":
                holder[rest[0]] = holder.pop(path[-1])
            elif kind == "swap":
                other = at(document, rest[0][:-1])
                holder[path[-1]], other[rest[0][-1]] = copy.deepcopy(
                    (at(document, rest[0]), at(document, path))
                )
        except (KeyError, IndexError, TypeError, AttributeError):
            continue
    text = json.dumps(document, indent=1)
    for name, raw in _RAW.items():
        text = text.replace(f'"{_MARK}{name}"', raw)
    return text.replace(f'"{_TWICE}', '"').encode()


def spoil(rng: random.Random, size: int) -> Step:
    """One change to bytes, of a file of this size."""
    kind = rng.choices(("flip", "cut", "insert", "remove", "copy"), (6, 2, 3, 2, 1))[0]
    place = rng.randrange(size)
    if kind == "insert":
        return [
            kind,
            place,
            rng.choice(("00", "ff", "80" * 12, "0a", "2c", "efbbbf", "22", "7b", "5d", "e2808b")),
        ]
    if kind in ("remove", "copy"):
        return [kind, place, rng.choice((1, 2, 7, 64, 1000))]
    return [kind, place, rng.randrange(1, 256)]


def spoiled(content: bytes, steps: Sequence[Step]) -> bytes:
    """The bytes with these changes."""
    data = bytearray(content)
    for kind, place, what in steps:
        place = min(place, max(0, len(data) - 1))
        if kind == "flip" and data:
            data[place] ^= what
        elif kind == "cut":
            del data[place:]
        elif kind == "insert":
            data[place:place] = bytes.fromhex(what)
        elif kind == "remove":
            del data[place : place + what]
        elif kind == "copy":
            data[place:place] = data[place : place + what]
    return bytes(data)

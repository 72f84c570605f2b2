"""Arrays of vectors altered, and the files that hold them: types, shapes, orders, values, headers."""

from __future__ import annotations

import io
import random
from typing import Any

import numpy as np

from fuzz.core import several
from fuzz.documents import spoil, spoiled

_TYPES = (
    "<f4",
    ">f4",
    "<f2",
    "<f8",
    ">f8",
    "<i4",
    "|b1",
    "<c8",
    "|S4",
    "<U3",
    "|O",
    "<u1",
    "<M8[s]",
    "V4",
    "<f4,<f4",
)
_VALUES = (
    "nan",
    "inf",
    "-inf",
    "1e-300",
    "1e-45",
    "1e38",
    "3.5e38",
    "0",
    "-0.0",
    "1e300",
    "tiny-row",
    "zero-row",
)
_SHAPES = (
    "flat",
    "row",
    "deep",
    "fewer",
    "more",
    "narrow",
    "wide",
    "none",
    "scalar",
    "transposed",
    "zero-wide",
)
_HEADERS = (
    "{'descr': '<f4', 'fortran_order': False, 'shape': (-1, 32), }",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999, 32), }",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (9223372036854775807, 9223372036854775807), }",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (True, 32), }",
    "{'descr': '<f4', 'fortran_order': 1, 'shape': (2, 32), }",
    "{'descr': '<f4', 'shape': (2, 32), }",
    "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2, 32), }",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 32), 'x': 1}",
    "{'descr': 'zz', 'fortran_order': False, 'shape': (2, 32), }",
    "[" * 300,
    "(" * 5000,
    "{'descr': '<f4', 'fortran_order': False, 'shape': (2L, 32L), }",
    "__import__('os').abort()",
    "{'descr': '<f4', 'fortran_order': False, 'shape': " + "9" * 5000 + "}",
    "\0" * 60,
    "",
)


def ways(rng: random.Random) -> list[list[Any]]:
    """How an array is altered before it is written."""
    steps: list[list[Any]] = []
    for _ in range(several(rng, 3)):
        kind = rng.choice(("type", "value", "value", "shape", "order", "header", "version", "bytes", "scale"))
        if kind == "type":
            steps.append([kind, rng.choice(_TYPES)])
        elif kind == "value":
            steps.append([kind, rng.randrange(1000), rng.choice(_VALUES)])
        elif kind == "shape":
            steps.append([kind, rng.choice(_SHAPES)])
        elif kind == "header":
            steps.append([kind, rng.choice(_HEADERS)])
        elif kind == "scale":
            steps.append([kind, rng.choice((1e-300, 1e-38, 1e-20, 1e20, 1e38, -1.0))])
        elif kind == "version":
            steps.append([kind, rng.choice(((1, 0), (2, 0), (3, 0), (9, 9), (0, 0)))])
        elif kind == "bytes":
            steps.append([kind, spoil(rng, 200)])
        else:
            steps.append([kind])
    return steps


def altered(array: np.ndarray, steps: list[list[Any]]) -> np.ndarray:
    """The array with those changes that are not of the file."""
    array = array.copy()
    with np.errstate(all="ignore"):
        for kind, *what in steps:
            if kind == "type":
                array = _as(array, what[0])
            elif kind == "scale" and array.dtype.kind == "f":
                array = (
                    array.astype(np.float64) * what[0]
                    if abs(what[0]) < 1e-30
                    else array * array.dtype.type(what[0])
                )
            elif kind == "shape":
                array = _shaped(array, what[0])
            elif kind == "order":
                array = np.asfortranarray(array)
            elif kind == "value" and array.size and array.dtype.kind == "f":
                _put(array, *what)
    return array


def written(array: np.ndarray, steps: list[list[Any]]) -> bytes:
    """The file of the altered array, itself altered."""
    file, version = io.BytesIO(), next((tuple(step[1]) for step in steps if step[0] == "version"), None)
    known = version if version in ((1, 0), (2, 0), (3, 0)) else None
    np.lib.format.write_array(file, altered(array, steps), version=known, allow_pickle=True)
    content = file.getvalue()
    for kind, *what in steps:
        if kind == "header":
            head = what[0].encode().ljust(117) + b"\n"
            content = b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head + content[128:]
        elif kind == "version" and version != known:
            content = content[:6] + bytes(version or ()) + content[8:]
        elif kind == "bytes":
            content = spoiled(content, [what[0]])
    return content


def _as(array: np.ndarray, kind: str) -> np.ndarray:
    try:
        return array.astype(kind)
    except (TypeError, ValueError, RuntimeError):  # the last of dates in too short a text
        return np.zeros(array.shape, dtype=kind)


def _shaped(array: np.ndarray, how: str) -> np.ndarray:
    wide = array if array.ndim == 2 and array.size else np.ones((2, 4), dtype=np.float32)
    return {
        "flat": lambda: wide.ravel(),
        "row": lambda: wide[0],
        "deep": lambda: wide[:, None, :],
        "fewer": lambda: wide[:-1],
        "more": lambda: np.concatenate([wide, wide]),
        "narrow": lambda: wide[:, :-1],
        "wide": lambda: np.concatenate([wide, wide], axis=1),
        "none": lambda: wide[:0],
        "scalar": lambda: wide[0, 0],
        "transposed": lambda: wide.T,
        "zero-wide": lambda: wide[:, :0],
    }[how]()


def _put(array: np.ndarray, at: int, value: str) -> None:
    flat = array.reshape(-1)
    if value in ("tiny-row", "zero-row"):
        row = array[at % len(array)] if array.ndim == 2 else flat
        row[...] = (
            row * row.dtype.type(1e-300 if row.dtype.itemsize == 8 else 1e-44) if value == "tiny-row" else 0
        )
    else:
        flat[at % flat.size] = float(value)

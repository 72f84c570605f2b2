"""Columns of other libraries as what they are here: texts in an order.

Nothing is imported: a column's library was imported by whoever has the column. An array of numpy, a Series,
an Index or a Categorical of pandas with whatever index, a Series of polars, an array of Arrow in one chunk or
many: each gives its members in its order, and what stands for a missing one gives None.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sestina._errors import TextTypeError

_LIBRARIES = ("numpy", "pandas", "polars", "pyarrow")
_PIECE = 1 << 14  # members of an array that are made into objects of Python at once


def library_of(texts: object) -> str | None:
    """Which of these libraries an object is of, by its type and not by what it says; None: of none."""
    for kind in type(texts).__mro__:
        name = kind.__module__.partition(".")[0]
        if name in _LIBRARIES:
            return name
    return None


def column(texts: Any) -> Iterator[object] | None:
    """The members of a column; None where it is none.

    Raises:
        TextTypeError: Where it is of such a library, and no column.
    """
    library = library_of(texts)
    if library is None:
        return None
    shape = getattr(texts, "shape", None)
    if shape is not None and len(shape) != 1:
        raise TextTypeError(
            f"texts is {type(texts).__name__} of shape {tuple(shape)!r:.60}; it must be a column, of one axis"
        )
    if library == "pandas" and getattr(texts, "nlevels", 1) != 1:
        raise TextTypeError(f"texts is {type(texts).__name__} of several levels; it must be one column")
    if library == "pyarrow":
        if not hasattr(texts, "to_pylist"):
            return None
        chunks = texts.iterchunks() if hasattr(texts, "iterchunks") else [texts]
        return (member for chunk in chunks for member in _pieces(chunk, "to_pylist"))
    way = "to_list" if library == "polars" else "tolist"
    if shape is None or not hasattr(texts, way):
        return None
    if library == "pandas":
        return map(_none_for_missing, _pieces(getattr(texts, "array", texts), way))
    return map(_none_for_missing, _pieces(texts, way))


def _pieces(array: Any, way: str) -> Iterator[object]:
    """Its members, some thousands at a time: as objects of Python they take more memory than in the array."""
    for begin in range(0, len(array), _PIECE):
        yield from getattr(array[begin : begin + _PIECE], way)()


def _none_for_missing(member: Any) -> object:
    """None for NaN, NaT and NA, none of which equals itself; a text as it is."""
    if type(member) is str or member is None:
        return member
    kind = type(member).__name__
    return None if kind in ("NAType", "NaTType") or (kind == "float" and member != member) else member

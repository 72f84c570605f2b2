"""Columns of other libraries as what they are here: texts in an order.

Nothing is imported: a column's library was imported by whoever has the column. An array of numpy, a Series,
an Index or a Categorical of pandas with whatever index, a Series of polars, an array of Arrow in one chunk or
many: each gives its members in its order, and what stands for a missing one is a null.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sestina._errors import TextTypeError

_LIBRARIES = ("numpy", "pandas", "polars", "pyarrow")
_OF_NUMPY = ("float16", "float32", "longdouble", "datetime64", "timedelta64")  # float64 is Python's
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
        return _pieces(getattr(texts, "array", texts), way)
    return _pieces(texts, way)


def _pieces(array: Any, way: str) -> Iterator[object]:
    """Its members, some thousands at a time: as objects of Python they take more memory than in the array."""
    for begin in range(0, len(array), _PIECE):
        yield from getattr(array[begin : begin + _PIECE], way)()


def is_null(member: Any) -> bool:
    """Whether it stands for a missing text: None, NaN of any library, NA, NaT, or a masked member."""
    if member is None:
        return True
    kind = type(member)
    if kind is str:
        return False
    if issubclass(kind, float):
        return float.__ne__(member, member)
    library, name = str(kind.__module__).partition(".")[0], kind.__name__
    if library == "numpy":
        return name == "MaskedConstant" or (name in _OF_NUMPY and bool(member != member))
    if library == "decimal":
        return name == "Decimal" and bool(member.is_nan())
    return library == "pandas" and name in ("NAType", "NaTType")

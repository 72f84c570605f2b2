"""Errors of a batch that say which row they are of, by its id where there is one."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import sestina

OF_A_TEXT = (sestina.TextTypeError, sestina.TextValueError, sestina.TruncationError)


def named(
    error: sestina.SestinaError, texts: Any, encode: Callable[[Any], object], column: str, ids: Any = None
) -> sestina.SestinaError:
    """The same error, naming its row: found by encoding row after row, once.

    Args:
        error: That a batch has raised, one of `OF_A_TEXT`.
        texts: Of the batch.
        encode: What has raised it, given the texts.
        column: Their name.
        ids: A name and a column that identify rows; None: their place in the batch does.
    """
    for at in range(len(texts)):
        one = texts.iloc[at : at + 1] if hasattr(texts, "iloc") else texts[at : at + 1]
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                encode(one)
        except OF_A_TEXT as found:
            told = str(found).removeprefix("text 0 ").removeprefix("row 0 ")
            where = f"row {at} of a batch" if ids is None else f"{ids[0]} {_plain(ids[1], at)!r}"
            return type(found)(f"{where}, column {column!r}: {told}")
    return error


def _plain(column: Any, at: int) -> Any:
    value = column.iloc[at] if hasattr(column, "iloc") else column[at]
    for convert in ("as_py", "item"):  # of Arrow's scalars, and numpy's
        if hasattr(value, convert):
            return getattr(value, convert)()
    return value

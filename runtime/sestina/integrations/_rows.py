"""Rows of tables: a batch becomes vectors of float32, and an error says which row it is of, by its id."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import sestina
from sestina._quote import quote
from sestina.integrations._encoder import Kind, Source

if TYPE_CHECKING:
    from sestina.integrations._empty import Vectors

OF_A_TEXT = (sestina.TextTypeError, sestina.TextValueError, sestina.TruncationError)


def check_options(options: Mapping[str, Any]) -> None:
    """Hold that vectors are to be float32, of which columns are made.

    Raises:
        OptionError: Where another form is asked for.
    """
    output = options.get("output", "float32")
    if not (isinstance(output, str) and output == "float32"):
        raise sestina.OptionError(
            f"output is {quote(output)}; a column of vectors is float32 here: leave it out, and make the "
            "smaller form where they are stored"
        )


def encode_rows(source: Source, texts: Any, kind: Kind | None, options: Mapping[str, Any]) -> Vectors:
    """(n, d) float32 of a column of texts; the vector of an empty text is zero unless options say otherwise.

    Args:
        source: What encodes.
        texts: Any column.
        kind: Which prompts they get.
        options: Of `Encoder.encode`.

    Raises:
        OptionError: Where an option is not allowed.
        SestinaError: As `Encoder.encode`.
    """
    check_options(options)
    return source.encode(texts, kind, empty="as it is", **{"on_empty": "zero", **options})


def named(
    error: sestina.SestinaError, texts: Any, encode: Callable[[Any], object], column: str, ids: Any = None
) -> sestina.SestinaError:
    """The same error, naming its row: as it says itself, or else found by encoding row after row.

    Args:
        error: That a batch has raised, one of `OF_A_TEXT`.
        texts: Of the batch.
        encode: What has raised it, given the texts.
        column: Their name.
        ids: A name and a column that identify rows; None: their place in the batch does.
    """
    known = getattr(error, "position", None)
    for at in range(len(texts)) if known is None else (known,):
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

"""A text as it is given: a valid `str`, a null where those are taken, or an error that says which it is."""

from __future__ import annotations

from sestina._arguments import plain_str
from sestina._columns import is_null
from sestina._errors import TextTypeError, TextValueError


def named(position: int | None, noun: str = "text") -> str:
    """A text by its position in the caller's input, for messages; None: the one text that was given."""
    return f"the {noun}" if position is None else f"{noun} {position}"


def check_text(
    text: object, position: int | None = None, noun: str = "text", *, on_null: bool = False
) -> str:
    """Return `text` if it is a valid Unicode `str`.

    Args:
        text: Whatever was given.
        position: In the caller's input; None: the one text that was given.
        noun: What it is there.
        on_null: Whether the caller has an option of that name, which an error may advise.

    Raises:
        TextTypeError: Where it is not a `str`; of several, which one is null.
        TextValueError: Where it holds lone surrogates, which no encoding of Unicode can carry.
    """
    plain = plain_str(text)  # a subclass may have another idea of equality
    if plain is None and position is not None and is_null(text):
        advice = ", or pass on_null='zero' for a zero vector" if on_null else ""
        row = "row" if noun == "text" else noun
        raise TextTypeError(f"{row} {position} is null; it must be str: leave it out{advice}")
    if plain is None:
        raise TextTypeError(f"{named(position, noun)} is {type(text).__name__}; it must be str")
    try:
        plain.encode()
    except UnicodeEncodeError as error:
        raise TextValueError(
            f"{named(position, noun)} has a lone surrogate U+{ord(plain[error.start]):04X} at character "
            f"{error.start}; decode its source with errors='replace'"
        ) from None
    return plain


def text_or_null(text: object, position: int | None, *, nulls: bool | None) -> str | None:
    """`check_text`, or None where nulls are taken and it is one; `nulls` is None where none can be."""
    if nulls and type(text) is not str and is_null(text):
        return None
    return check_text(text, position, on_null=nulls is not None)

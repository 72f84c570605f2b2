"""A query and what may answer it: as callers give them, and in the order that scores give."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from sestina._arguments import plain_str, text_sequence
from sestina._errors import TextTypeError, TextValueError
from sestina._text.checked import check_text

if TYPE_CHECKING:
    from sestina._arrays import Vectors


class Ranked(NamedTuple):
    """A document in its place.

    Attributes:
        position: Where it stood among the documents that were given.
        score: How well it answers the query.
        text: The document.
    """

    position: int
    score: float
    text: str


def asked(query: object, at: int | None = None) -> str:
    """A query, the one of a call or of a pair.

    Raises:
        TextTypeError, TextValueError: Where it is no valid Unicode str, or says nothing.
    """
    where = "the query" if at is None else f"the query of pair {at}"
    if plain_str(query) is None:
        raise TextTypeError(f"{where} is {type(query).__name__}; it must be str")
    text = check_text(query, at, "query")
    if not text.strip():
        raise TextValueError(f"{where} is empty: ask something")
    return text


def documents_of(documents: object) -> list[str]:
    """The documents of a call.

    Raises:
        TextTypeError, TextValueError: Where they are no texts, or none at all.
    """
    given = some_of(documents, "documents", "a sequence of str or a column of them")
    return [check_text(each, at, "document") for at, each in enumerate(given)]


def some_of(given: object, name: str, what: str) -> list[object]:
    """The members of a sequence that must have some.

    Raises:
        TextTypeError: Where it is none, or one text.
        TextValueError: Where it has none.
    """
    if plain_str(given) is not None:
        raise TextTypeError(f"{name} is a str; it must be {what}")
    try:
        members = text_sequence(given)
    except TextTypeError as error:
        raise TextTypeError(str(error).replace("texts is", f"{name} is", 1)) from error.__cause__
    if not members:
        raise TextValueError(f"{name} is empty: give at least one")
    return members


def in_order(scores: Vectors, documents: Sequence[str], top_k: int | None) -> list[Ranked]:
    """The best of documents by their scores (n,), the best first; of equal ones the first given."""
    order = np.argsort(-scores, kind="stable")[:top_k].tolist()
    return [Ranked(at, float(scores[at]), documents[at]) for at in order]

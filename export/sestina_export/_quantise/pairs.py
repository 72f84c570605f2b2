"""What is calibrated with: texts, or of encoders that read a query and a document together pairs of these."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sestina._text.checked import check_text
from sestina_export._errors import ExportError
from sestina_export._quantise.calibrate import default_texts, in_thirds, in_two, split_texts
from sestina_model.head_config import HeadConfig
from sestina_model.inputs import Query, Text

__all__ = ["default_pairs", "listed", "split_given", "split_pairs"]

_QUERY_WORDS = 8
_APART = 7  # from a text to one that has nothing to do with it

Pairs = list[tuple[str, str]]


def default_pairs(texts: Sequence[str]) -> Pairs:
    """Pairs made of texts: the beginning of each with itself, and in turn with another.

    Args:
        texts: Of many kinds, in an order that means nothing.
    """
    pairs = []
    for at, text in enumerate(texts):
        query = " ".join(text.split()[:_QUERY_WORDS])
        pairs.append((query, text if at % 2 else texts[(at + _APART) % len(texts)]))
    return pairs


def split_pairs(calibration: Iterable[object]) -> tuple[Pairs, Pairs]:
    """Every third pair is held back: (to calibrate with, to measure on).

    Pairs with a blank text, and all but the first of equal ones, are left out.

    Args:
        calibration: Pairs, or lines that have a query, a tab and a document.

    Raises:
        ExportError: Where it is no sequence of pairs, or one of too few to say anything.
        sestina.TextTypeError, sestina.TextValueError: Where a text is not a `str`, or not valid Unicode.
    """
    return in_two(calibration, "pairs", _pair, lambda pair: pair[0].strip() and pair[1].strip())


def _pair(given: object, at: int) -> tuple[str, str]:
    texts: Sequence[object] = ()
    if isinstance(given, str):
        texts = given.split("\t")
    elif isinstance(given, list | tuple):
        texts = given
    if len(texts) != 2:
        raise ExportError(
            f"calibration pair {at} is {given!r:.80}; it must be a query and a document, as a pair or as a "
            f"line with a tab between them"
        )
    return check_text(texts[0], at), check_text(texts[1], at)


def listed(calibration: object) -> list[Any] | None:
    """What was given to calibrate with, taken once; None: nothing.

    Raises:
        ExportError: Where it is no sequence.
    """
    if calibration is None:
        return None
    if isinstance(calibration, str | bytes) or not isinstance(calibration, Iterable):
        raise ExportError(f"calibration is a {type(calibration).__name__}; it must be a sequence of texts")
    return list(calibration)


def split_given(given: list[Any] | None, head: HeadConfig) -> tuple[list[Text], list[Text]]:
    """What is calibrated with and what is held back, of texts or of pairs, as the head reads them."""
    if head.late_interaction is not None:  # each text of a pair is read, and so held back, by itself
        first, second = split_pairs(default_pairs(default_texts()) if given is None else given)
        queries = in_thirds(list(dict.fromkeys(Query(pair[0]) for pair in (*first, *second))))
        documents = in_thirds(list(dict.fromkeys(pair[1] for pair in (*first, *second))))
        return [*queries[0], *documents[0]], [*queries[1], *documents[1]]
    if head.pairs:
        first, second = split_pairs(default_pairs(default_texts()) if given is None else given)
        return [*first], [*second]
    used, held = split_texts(default_texts() if given is None else given)
    return [*used], [*held]

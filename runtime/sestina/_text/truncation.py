"""Truncation that is never silent."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, get_args

from sestina._arguments import one_of
from sestina._caller import warn_caller
from sestina._errors import TruncationError, TruncationWarning
from sestina._text.checked import named

OnTruncate = Literal["error", "warn", "ignore"]


def limit_in_words(max_tokens: int, *, prompted: bool) -> str:
    """What a text has that is too long."""
    return f"more than {max_tokens} tokens{', its prompt included' if prompted else ''}"


class TruncationWatch:
    """Says once per call, in one line, that texts were cut; or refuses the first one that would be.

    Args:
        mode: What is done about it.
        max_tokens: The limit.
        prompted: Whether a prompt stands before each text, and counts.

    Raises:
        OptionError: Where the mode is not "error", "warn" or "ignore".
    """

    def __init__(self, mode: OnTruncate, max_tokens: int, *, prompted: bool = False) -> None:
        self._mode = one_of("on_truncate", mode, get_args(OnTruncate))
        self._limit = limit_in_words(max_tokens, prompted=prompted)
        self._first: int | None = None
        self._count = 0

    takes_null = sees_empty = False  # `TextWatch` may

    def see_empty(self, positions: Iterable[int | None]) -> None:
        """Note texts that are empty: nothing, here."""

    def see(self, positions: Iterable[int | None]) -> None:
        """Note texts that are over the limit, by their position in the caller's input (None: the text).

        Raises:
            TruncationError: At once, where the mode is "error".
        """
        for position in positions:
            if self._mode == "error":
                raise TruncationError(
                    f"{named(position)} has {self._limit}: shorten it, or pass "
                    "on_truncate='warn' or 'ignore' to encode its beginning",
                    position=position,
                )
            self._first = self._first if self._count else position
            self._count += 1

    def report(self) -> None:
        """Warn the caller about what was seen, where the mode is "warn"."""
        if self._count and self._mode == "warn":
            first = named(self._first)
            what = f"{first} has" if self._count == 1 else f"{self._count} texts (the first is {first}) have"
            warn_caller(
                TruncationWarning(
                    f"{what} {self._limit}; only the beginning was encoded",
                    count=self._count,
                    first=self._first,
                )
            )

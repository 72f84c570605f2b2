"""Truncation that is never silent."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, Protocol, get_args

from sestina._arguments import one_of
from sestina._caller import warn_caller
from sestina._errors import TruncationError, TruncationWarning
from sestina._text.checked import named

OnTruncate = Literal["error", "warn", "ignore"]


def limit_in_words(max_tokens: int, *, prompted: bool) -> str:
    """What a text has that is too long."""
    return f"more than {max_tokens} tokens{', its prompt included' if prompted else ''}"


class Watch(Protocol):
    """Is told which texts were over the limit, and which are empty where it is to know."""

    @property
    def takes_null(self) -> bool | None:
        """Whether None is a text without tokens; None where nobody can ask for that."""

    @property
    def sees_empty(self) -> bool:
        """Whether empty texts are told of, and then without tokens."""

    def see(self, positions: Iterable[int | None]) -> None:
        """Those over the limit, by their position in the caller's input."""

    def see_empty(self, positions: Iterable[int | None]) -> None:
        """Those that are empty."""


class TruncationWatch:
    """Says once per call, in one line, that texts were cut; or refuses the first one that would be.

    Args:
        mode: What is done about it.
        max_tokens: The limit.
        prompted: Whether a prompt stands before each text, and counts.
        noun: What is read at once.

    Raises:
        OptionError: Where the mode is not "error", "warn" or "ignore".
    """

    def __init__(
        self, mode: OnTruncate, max_tokens: int, *, prompted: bool = False, noun: str = "text"
    ) -> None:
        self._mode = one_of("on_truncate", mode, get_args(OnTruncate))
        self._noun = noun
        self._limit = limit_in_words(max_tokens, prompted=prompted)
        self._first: int | None = None
        self._count = 0

    takes_null: bool | None = None  # where nulls are taken, or could be, and empty texts seen: `TextWatch`
    sees_empty = False

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
                    f"{named(position, self._noun)} has {self._limit}: shorten it, or pass "
                    "on_truncate='warn' or 'ignore' to encode its beginning",
                    position=position,
                )
            self._first = self._first if self._count else position
            self._count += 1

    def report(self) -> None:
        """Warn the caller about what was seen, where the mode is "warn"."""
        if self._count and self._mode == "warn":
            first = named(self._first, self._noun)
            what = (
                f"{first} has"
                if self._count == 1
                else f"{self._count} {self._noun}s (the first is {first}) have"
            )
            warn_caller(
                TruncationWarning(
                    f"{what} {self._limit}; only the beginning was encoded",
                    count=self._count,
                    first=self._first,
                )
            )

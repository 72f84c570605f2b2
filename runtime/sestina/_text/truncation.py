"""Truncation that is never silent."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, Protocol, get_args

from sestina._arguments import one_of
from sestina._caller import warn_caller
from sestina._errors import TruncationError, TruncationWarning
from sestina._text.checked import named

OnTruncate = Literal["error", "warn", "ignore"]
_MODES = get_args(OnTruncate)


def limit_in_words(max_tokens: int, *, prompted: bool) -> str:
    """What a text has that is too long."""
    return f"more than {max_tokens} tokens{', its prompt included' if prompted else ''}"


class Noted:
    """Texts of which one thing is to be said: how many they are, and which is the first.

    Attributes:
        count: How many.
        first: Its position in the caller's input; None: it was given alone.
    """

    def __init__(self) -> None:
        self.count = 0
        self.first: int | None = None

    def add(self, position: int | None) -> None:
        """One more."""
        self.first = self.first if self.count else position
        self.count += 1

    def said(self, noun: str, one: str, several: str) -> str:
        """The subject and the verb of a sentence about them."""
        first = named(self.first, noun)
        if self.count == 1:
            return f"{first} {one}"
        return f"{self.count} {noun}s (the first is {first}) {several}"


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
        self._mode = one_of("on_truncate", mode, _MODES)
        self._noun = noun
        self._limit = limit_in_words(max_tokens, prompted=prompted)
        self._cut = Noted()

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
            self._cut.add(position)

    def report(self) -> None:
        """Warn the caller about what was seen, where the mode is "warn"."""
        if self._cut.count and self._mode == "warn":
            what = self._cut.said(self._noun, "has", "have")
            warn_caller(
                TruncationWarning(
                    f"{what} {self._limit}; only the beginning was encoded",
                    count=self._cut.count,
                    first=self._cut.first,
                )
            )

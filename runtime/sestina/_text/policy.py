"""What is done about texts that are null, empty or too long: asked for once, seen wherever texts are read."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple, get_args

from sestina._arguments import one_of
from sestina._caller import warn_caller
from sestina._errors import EmptyTextError, EmptyTextWarning
from sestina._text.checked import named
from sestina._text.truncation import Noted, OnTruncate, TruncationWatch

OnNull = Literal["error", "zero"]
OnEmpty = Literal["zero", "warn", "error"]
_NULLS, _EMPTIES = get_args(OnNull), get_args(OnEmpty)

_EMPTY = "no token of its own, so its vector would say nothing"


class Policy(NamedTuple):
    """What a caller asked for.

    Attributes:
        on_truncate: Of a text that is too long.
        on_null: Of a row that is null: an error, or a zero vector.
        on_empty: Of a text without a token of its own: a zero vector, the same with a warning, or an error;
            None: the vector that the model gives it.
    """

    on_truncate: OnTruncate = "warn"
    on_null: OnNull = "error"
    on_empty: OnEmpty | None = None

    def watch(self, max_tokens: int, *, prompted: bool, blank: str = "a zero vector") -> TextWatch:
        """What is told of texts, of which an empty one gets `blank`.

        Raises:
            OptionError: Where one of them is not allowed.
        """
        return TextWatch(self, max_tokens, prompted=prompted, blank=blank)


class TextWatch(TruncationWatch):
    """`TruncationWatch` that says of empty texts too what was asked for, and whether nulls are taken.

    Args:
        policy: What was asked for.
        max_tokens: The limit.
        prompted: Whether a prompt stands before each text.
        blank: What an empty text gets, in words.

    Attributes:
        takes_null: Whether a null is a text without tokens, or else an error.
        sees_empty: Whether it is to be told of empty texts, which then are without tokens.
    """

    def __init__(self, policy: Policy, max_tokens: int, *, prompted: bool, blank: str) -> None:
        super().__init__(policy.on_truncate, max_tokens, prompted=prompted)
        self.takes_null = one_of("on_null", policy.on_null, _NULLS) == "zero"
        self.sees_empty = policy.on_empty is not None
        self._on_empty = one_of("on_empty", policy.on_empty, _EMPTIES) if self.sees_empty else None
        self._empty = Noted()
        self._blank = blank

    def see_empty(self, positions: Iterable[int | None]) -> None:
        """Note texts that are empty, by their position in the caller's input (None: the text).

        Raises:
            EmptyTextError: At once, where that is asked for.
        """
        for position in positions:
            if self._on_empty == "error":
                raise EmptyTextError(
                    f"{named(position)} is empty: it has {_EMPTY}; leave it out, or pass on_empty='zero' for "
                    f"{self._blank}",
                    position=position,
                )
            self._empty.add(position)

    def report(self) -> None:
        """Warn the caller about what was seen, where that is asked for."""
        super().report()
        if self._empty.count and self._on_empty == "warn":
            what = self._empty.said("text", "is", "are")
            warn_caller(
                EmptyTextWarning(
                    f"{what} empty and got {self._blank}, which says nothing: keep it out of a store",
                    count=self._empty.count,
                    first=self._empty.first,
                )
            )

"""The tokens of a vocabulary by their number, for people."""

from __future__ import annotations

from sestina._text.tokenizer import Tokenizer


class Vocabulary:
    """The tokens of a tokenizer; what it has no token for is "#" and its number.

    Args:
        tokenizer: Whose.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer

    def __getitem__(self, index: int) -> str:
        token = self._tokenizer.token(index)
        return f"#{index}" if token is None else token

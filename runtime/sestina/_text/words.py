"""Which tokens go on with the word before them, as transformers' pipeline of token classification has it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from sestina._text.tokenizer import Tokenizer, Tokens


_HEAD = 256  # bytes of a model's state before its vocabulary


class Piece(NamedTuple):
    """A token of the text itself.

    Attributes:
        place: Among the ids.
        start, end: Where it is in the text, in characters.
        continues: Whether it goes on with the word before it.
    """

    place: int
    start: int
    end: int
    continues: bool


class Words:
    """Tells the pieces of a text.

    Args:
        tokenizer: Of the bundle.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        inner: Any = tokenizer._tokenizer
        self._added = tokenizer.added
        self._marked = bool(getattr(inner.model, "continuing_subword_prefix", None))
        unknown = getattr(inner.model, "unk_token", None)
        if unknown:
            self._unknown = inner.token_to_id(unknown)
        else:  # Unigram tells it in its state alone
            told = re.search(rb'"unk_id":\s*(\d+)', inner.model.__getstate__()[:_HEAD])
            self._unknown = int(told[1]) if told else None

    def pieces(self, text: str, tokens: Tokens) -> list[Piece]:
        """All but the special tokens that stand around a text.

        Where the vocabulary marks what goes on with a word a token is longer than what it stands for; else a
        token begins a word where a space is at its beginning or before it. A token that is not known is a
        word of its own.
        """
        found = []
        for place in range(self._added.before, len(tokens.ids) - self._added.after):
            start, end = tokens.offsets[place]
            if self._marked:
                continues = len(tokens.tokens[place]) != end - start
            else:
                continues = start > 0 and " " not in text[start - 1 : start + 1]
            known = tokens.ids[place] != self._unknown
            found.append(Piece(place, start, end, continues and known))
        return found

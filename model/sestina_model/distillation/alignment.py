"""Which tokens of one text two tokenizers cut alike, so that their vectors can be held side by side."""

from __future__ import annotations

from tokenizers import Encoding

__all__ = ["shared_places"]


def shared_places(mine: Encoding, theirs: Encoding) -> tuple[list[int], list[int]]:
    """Places of the tokens that cover the same characters: in the one, and in the other."""
    where = {span: place for place, span in enumerate(theirs.offsets) if span[1] > span[0]}
    pairs = [(place, where[span]) for place, span in enumerate(mine.offsets) if span in where]
    return [place for place, _ in pairs], [place for _, place in pairs]

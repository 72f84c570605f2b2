"""Texts to token ids, the nulls and the empty ones among them too."""

from __future__ import annotations

from collections.abc import Sequence

from sestina._process.native import calling
from sestina._text.prompt import Prompt
from sestina._text.tokenizer import Tokenizer
from sestina._text.truncation import Watch


def read_ids(
    tokenizer: Tokenizer, texts: Sequence[str | None], watch: Watch, prompt: Prompt
) -> tuple[list[list[int]], list[int], list[int]]:
    """Token ids, none of a null and of an empty text that is told of.

    Args:
        tokenizer: Of the bundle.
        texts: The texts, checked; None is a null.
        watch: Says whether empty texts are looked for.
        prompt: What stands before each text.

    Returns: the ids of each text, and which texts were over the limit and which are empty.
    """
    there = [text for text in texts if text is not None]
    with calling:
        ids, cut = tokenizer.ids([prompt.text + text for text in there] if prompt.text else there)
        empty = tokenizer.empty(there, ids, prompt.text) if watch.sees_empty else []
    if empty:
        for at in empty:
            ids[at] = []
        blank = set(empty)
        cut = [at for at in cut if at not in blank]
    if len(there) == len(texts):
        return ids, cut, empty
    places = [at for at, text in enumerate(texts) if text is not None]
    spread: list[list[int]] = [[] for _ in texts]
    for at, row in zip(places, ids, strict=True):
        spread[at] = row
    return spread, [places[at] for at in cut], [places[at] for at in empty]

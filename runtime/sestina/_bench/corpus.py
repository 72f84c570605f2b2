"""Texts to measure with: the user's own, or English-like ones that are the same on every machine."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sestina._bench.words import CONTENT_WORDS, FUNCTION_WORDS

_SEED = 20170612  # the day that "Attention Is All You Need" appeared
# Words in a passage are log-normal, as in collections of web passages: half are shorter than 29, one in
# twenty is longer than 108. In WordPiece tokens the mean is about 46.
_MEDIAN_WORDS, _SPREAD = 29, 0.8
_LONGEST_WORDS = 400
_SENTENCE = (5, 22)  # words
_FUNCTION_SHARE = 0.5

Count = Callable[[str], int]


@dataclass(frozen=True, slots=True)
class Corpus:
    """What is encoded as a corpus.

    Attributes:
        origin: "generated", or the name of the user's file.
        texts: The passages of mixed lengths.
        tokens: How many tokens each of them has within the length limit.
        uniform: For each length, the number of texts of exactly that length.
    """

    origin: str
    texts: list[str]
    tokens: list[int]
    uniform: dict[str, int]

    @property
    def total_tokens(self) -> int:
        """Of all passages of mixed lengths."""
        return sum(self.tokens)


def passages(count: int) -> list[str]:
    """English-like passages of mixed lengths; the first n are the same whatever `count` is."""
    draw = random.Random(_SEED)  # noqa: S311  not a secret: the same everywhere
    return [_passage(draw) for _ in range(count)]


def _passage(draw: random.Random) -> str:
    wanted = max(1, min(_LONGEST_WORDS, round(_MEDIAN_WORDS * draw.lognormvariate(0, _SPREAD))))
    sentences = []
    while wanted > 0:
        length = min(wanted, draw.randint(*_SENTENCE))
        words = [_word(draw) for _ in range(length)]
        if length > 8 and draw.random() < 0.6:
            words[length // 2] += ","
        sentences.append(" ".join(words).capitalize() + ("?" if draw.random() < 0.08 else "."))
        wanted -= length
    return " ".join(sentences)


def _word(draw: random.Random) -> str:
    """Frequent words often: the square of a uniform number falls near 0."""
    words = FUNCTION_WORDS if draw.random() < _FUNCTION_SHARE else CONTENT_WORDS
    return words[int(len(words) * draw.random() ** 2)]


def of_length(tokens: int, how_many: int, count: Count) -> list[str]:
    """Different texts of exactly so many tokens.

    Args:
        tokens: Special tokens included.
        how_many: Texts.
        count: The number of tokens of a text, without a limit.

    Raises:
        ValueError: Where the tokenizer makes no text of this length.
    """
    draw = random.Random(_SEED + tokens)  # noqa: S311
    whole = _additive_words(count)
    texts = []
    for _ in range(how_many):
        text = draw.choice(whole)
        while (lacking := tokens - count(text)) > 0:
            text = " ".join([text, *draw.choices(whole, k=lacking)])
        if lacking:
            raise ValueError(f"no text of exactly {tokens} tokens could be made for this tokenizer")
        texts.append(text)
    return texts


def _additive_words(count: Count) -> list[str]:
    """Words that add one token each, wherever they stand."""
    candidates = [*FUNCTION_WORDS, *CONTENT_WORDS, *"abcdefghijklmnopqrstuvwxyz"]
    base = count("a")
    whole = [word for word in dict.fromkeys(candidates) if count(f"a {word}") == base + 1]
    if not whole or count("a " * 4 + whole[0]) != base + 4:
        raise ValueError("no word of this tokenizer's vocabulary is a single token")
    return whole


def clipped(lengths: Sequence[int], limit: int) -> list[int]:
    """The lengths to measure at, none above the limit and none twice."""
    return sorted({min(length, limit) for length in lengths})

"""Texts on which two tokenizers that are not the same are likely to differ: always the same ones."""

from __future__ import annotations

import random

from tokenizers import Tokenizer

from sestina_export._proof.golden_texts import golden_texts

__all__ = ["fuzzed_texts"]

# Of each range, texts are drawn: from scripts, marks, and what tokenizers clean away or take for space.
_RANGES = (
    (0x20, 0x7E), (0x00, 0x1F), (0x7F, 0xA0), (0xA1, 0x24F), (0x250, 0x36F), (0x370, 0x52F), (0x591, 0x6FF),
    (0x900, 0xDFF), (0xE01, 0x109F), (0x10A0, 0x11FF), (0x1E00, 0x1FFF), (0x2000, 0x206F), (0x2070, 0x218F),
    (0x2190, 0x2BFF), (0x2E80, 0x30FF), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xAC00, 0xD7A3),
    (0xE000, 0xF8FF), (0xF900, 0xFFEF), (0xFFF0, 0xFFFF), (0x10000, 0x1037F), (0x1D400, 0x1D7FF),
    (0x1F000, 0x1FAFF), (0x20000, 0x2A6DF), (0xE0001, 0xE01EF), (0x10FFF0, 0x10FFFF),
)  # fmt: skip
_SPACES = " \t\n\r\x0b\x0c\x85\xa0\u1680\u2003\u200b\u2028\u2029\u202f\u3000\ufeff"
_A_RANGE = 5  # texts of each
_PIECES = 120  # texts made of the tokenizer's own vocabulary
_LONG = 4  # times the limit, in words


def fuzzed_texts(tokenizer: Tokenizer, max_tokens: int) -> list[str]:
    """Some hundreds of texts: every script, control characters, special tokens written out, long ones.

    Args:
        tokenizer: Its vocabulary and its added tokens are written out.
        max_tokens: The limit; some texts are far beyond it.
    """
    draw = random.Random(0)  # noqa: S311  no secret
    texts = [text for _, text in golden_texts(tokenizer, max_tokens)]
    for first, last in _RANGES:
        for _ in range(_A_RANGE):
            characters = [chr(draw.randint(first, last)) for _ in range(draw.randint(1, 24))]
            texts.append("".join(draw.choice(("", "", "a", " ", "é")) + each for each in characters))
    texts += ["".join(draw.choices("aB1." + _SPACES, k=16)) for _ in range(12)]
    for token in sorted(token.content for token in tokenizer.get_added_tokens_decoder().values())[:200]:
        texts += [token, f"a {token} b", f"a{token}b {token.upper()} {token.lower()}", f" {token}{token} "]
    pieces = sorted(tokenizer.get_vocab())
    for _ in range(_PIECES):
        texts.append(draw.choice(("", " ")).join(draw.choices(pieces, k=draw.randint(1, 12))))
    words = [text for text in texts if text.strip()]
    texts += [" ".join(draw.choices(words, k=_LONG * max_tokens)) for _ in range(2)]
    return [*texts, "x" * 5000, "Ab, " * _LONG * max_tokens, "漢" * _LONG * max_tokens]

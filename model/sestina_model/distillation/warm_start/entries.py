"""What the teacher's embedding layer makes of each entry of the student's vocabulary."""

from __future__ import annotations

from typing import cast

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from sestina_model.checkpoint import Checkpoint

__all__ = ["entry_vectors", "pieces"]

_POSITION = 6  # a usual place in a sentence; the teacher's positions differ little from one to the next
_UNREADABLE = "\ufffd"
_CONTINUES = "##"


def entry_vectors(teacher: Checkpoint, tokenizer: Tokenizer) -> tuple[Tensor, Tensor]:
    """One vector per entry, and the part that all their dimensions share.

    Each is the teacher's embedding layer, position and LayerNorm included, of the mean of the entry's
    WordPieces. Entries that spell no text, such as single bytes of a longer character, have the mean of all.

    Returns: (n, T) and a scalar.
    """
    encoder = teacher.model.encoder
    vocabulary = teacher.tokenizer.get_vocab(with_added_tokens=True)
    table = encoder.tokens.weight.detach()
    rows = torch.zeros(tokenizer.get_vocab_size(), table.shape[1])
    known = torch.zeros(len(rows), dtype=torch.bool)
    for entry in range(len(rows)):
        text = tokenizer.decode([entry], skip_special_tokens=False)
        found = [] if _UNREADABLE in text else pieces(text, vocabulary)
        if found:
            rows[entry] = table[found].mean(0)
            known[entry] = True
    if known.any():
        rows[~known] = rows[known].mean(0)
    rows = rows * encoder.embedding_scale + encoder.positions[min(_POSITION, len(encoder.positions) - 1)]
    norm = cast("nn.LayerNorm | None", encoder.embedding_norm)
    return (rows, torch.zeros(())) if norm is None else (norm(rows), norm.bias.mean())


def pieces(text: str, vocabulary: dict[str, int]) -> list[int]:
    """The WordPieces of an entry's text, longest first as WordPiece cuts; none where it has no spelling.

    An entry that starts with a space starts a word; any other continues one, where it can.
    """
    word = text.strip()
    continued = [] if text.startswith(" ") else _greedy(word, vocabulary, _CONTINUES)
    return continued or _greedy(word, vocabulary, "")


def _greedy(word: str, vocabulary: dict[str, int], first: str) -> list[int]:
    found: list[int] = []
    begin = 0
    while begin < len(word):
        prefix = _CONTINUES if begin else first
        end = next(
            (end for end in range(len(word), begin, -1) if prefix + word[begin:end] in vocabulary), None
        )
        if end is None:
            return []
        found.append(vocabulary[prefix + word[begin:end]])
        begin = end
    return found

"""The sentence head: hidden states of a text to its one vector, and the module that holds both."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sestina_model._errors import ConfigError
from sestina_model.config import HeadConfig, Pooling
from sestina_model.encoder import TransformerEncoder

__all__ = ["SentenceEncoder", "SentenceOutput", "pool"]

_EPSILON = 1e-12  # smallest norm that is divided by: a zero vector stays zero


def pool(hidden: Tensor, mask: Tensor | None, pooling: Pooling) -> Tensor:
    """One vector per text from the hidden states of its real tokens.

    Args:
        hidden: (B, S, D).
        mask: (B, S) bool, True where a token is real; None where every token is.
        pooling: "mean", "cls" (the first token) or "max".

    Returns: (B, D). A row without a real token gives zeros.
    """
    if not torch.compiler.is_compiling() and not hidden.shape[1]:  # a graph always has a token to read
        return hidden.new_zeros(hidden.shape[0], hidden.shape[2])
    if pooling == "cls":
        first = hidden[:, 0]
        return first if mask is None else first * mask[:, :1]
    if mask is None:
        return hidden.mean(1) if pooling == "mean" else hidden.amax(1)
    real = mask[:, :, None]
    if pooling == "mean":
        return (hidden * real).sum(1) / mask.sum(1, keepdim=True).clamp(min=1)
    highest = hidden.masked_fill(~real, -torch.inf).amax(1)
    return torch.where(mask.any(1, keepdim=True), highest, torch.zeros_like(highest))


class SentenceOutput(NamedTuple):
    """What a `SentenceEncoder` gives, named as in the exported graph."""

    sentence_embedding: Tensor  # (B, D)
    last_hidden_state: Tensor  # (B, S, D)


class SentenceEncoder(nn.Module):
    """A `TransformerEncoder` and the head that turns its hidden states into one vector per text.

    Raises:
        ConfigError: Where the length limit of the head exceeds the positions of the encoder.
    """

    def __init__(self, encoder: TransformerEncoder, head: HeadConfig) -> None:
        super().__init__()
        if head.max_tokens > encoder.config.max_positions:
            raise ConfigError(
                f"max_tokens is {head.max_tokens}; this encoder has positions for "
                f"{encoder.config.max_positions}"
            )
        self.encoder = encoder
        self.head = head

    def forward(self, ids: Tensor, mask: Tensor | None = None) -> SentenceOutput:
        """(B, S) int64 ids and their mask -> vectors (B, D) and hidden states (B, S, D)."""
        hidden = self.encoder(ids, mask)
        return SentenceOutput(self.finish(pool(hidden, mask, self.head.pooling)), hidden)

    def finish(self, pooled: Tensor) -> Tensor:
        """What follows pooling: L2 normalisation, where the head has it. (B, D) -> (B, D)."""
        return F.normalize(pooled, dim=-1, eps=_EPSILON) if self.head.normalize else pooled

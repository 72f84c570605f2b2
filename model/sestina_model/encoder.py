"""The Transformer encoder (Vaswani et al. 2017, sections 3.1 to 3.5).

Shapes are written with: B batch, S tokens, D d_model, H heads, K = D / H.
Masks are boolean, True where a token is real and False where it is padding.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sestina_model._errors import ConfigError
from sestina_model.config import EncoderConfig

__all__ = [
    "AttentionCore",
    "FeedForward",
    "Layer",
    "MultiHeadAttention",
    "TransformerEncoder",
    "counted_positions",
    "sinusoidal_positions",
]

# (q, k, v) each (B, S, D), the mask (B, S) or None, the number of heads -> (B, S, D).
AttentionCore = Callable[[Tensor, Tensor, Tensor, Tensor | None, int], Tensor]


def sinusoidal_positions(n_positions: int, d_model: int) -> Tensor:
    """PE(pos, 2i) = sin(pos / 10000^(2i/D)), PE(pos, 2i+1) = cos(...) (section 3.5).

    Computed in float64 and rounded once. Returns: (n_positions, D) float32.
    """
    position = torch.arange(n_positions, dtype=torch.float64)[:, None]
    rate = torch.exp(torch.arange(0, d_model, 2, dtype=torch.float64) * (-math.log(10000.0) / d_model))
    table = torch.empty(n_positions, d_model, dtype=torch.float64)
    table[:, 0::2] = torch.sin(position * rate)
    table[:, 1::2] = torch.cos(position * rate)
    return table.to(torch.float32)


def counted_positions(ids: Tensor, pad_id: int) -> Tensor:
    """Positions from 1 over the tokens that are not padding; 0 where one is. (B, S) int64 -> (B, S) int64."""
    real = (ids != pad_id).to(torch.int64)
    return real.cumsum(1) * real


def split_heads(x: Tensor, n_heads: int) -> Tensor:
    """(B, S, D) -> (B, H, S, K)."""
    return x.view(*x.shape[:-1], n_heads, x.shape[-1] // n_heads).transpose(1, 2)


def dot_product_attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, n_heads: int) -> Tensor:
    """softmax(Q K^T / sqrt(K)) V in every head (section 3.2.1). (B, S, D) -> (B, S, D)."""
    out = F.scaled_dot_product_attention(
        split_heads(q, n_heads),
        split_heads(k, n_heads),
        split_heads(v, n_heads),
        attn_mask=None if mask is None else mask[:, None, None, :],
    )
    return out.transpose(1, 2).flatten(2)  # (B, H, S, K) -> (B, S, D)


class MultiHeadAttention(nn.Module):
    """Every token gathers from all tokens, in H different ways side by side (section 3.2.2).

    `core` is the part between the projections. It is an attribute so that an exporter can put the one
    fused node of its target in the place of the reference computation.
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.n_heads = config.n_heads
        self.query = nn.Linear(config.d_model, config.d_model)
        self.key = nn.Linear(config.d_model, config.d_model)
        self.value = nn.Linear(config.d_model, config.d_model)
        self.output = nn.Linear(config.d_model, config.d_model)
        self.core: AttentionCore = dot_product_attention

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """(B, S, D), mask (B, S) -> (B, S, D)."""
        q, k, v = self.query(x), self.key(x), self.value(x)
        out: Tensor = self.output(self.core(q, k, v, mask, self.n_heads))
        return out

    def weights(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """The attention itself: how much each token (row) takes from each token (column).

        (B, S, D), mask (B, S) -> (B, H, S, S); every row sums to 1, padding columns are 0. A text that is
        nothing but padding has zeros throughout.
        """
        q = split_heads(self.query(x), self.n_heads)
        k = split_heads(self.key(x), self.n_heads)
        scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
        if mask is not None:
            scores = scores.masked_fill(~mask[:, None, None, :], -torch.inf)
        return scores.softmax(-1).nan_to_num()


class FeedForward(nn.Module):
    """Two linear maps with an activation between, applied to each position alone (section 3.3)."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.inner = nn.Linear(config.d_model, config.d_ff)
        self.activation: nn.Module = nn.ReLU() if config.activation == "relu" else nn.GELU()
        self.output = nn.Linear(config.d_ff, config.d_model)

    def forward(self, x: Tensor) -> Tensor:
        """(B, S, D) -> (B, S, D)."""
        out: Tensor = self.output(self.activation(self.inner(x)))
        return out


class Layer(nn.Module):
    """Two sublayers, each with a residual connection, LayerNorm and dropout (sections 3.1 and 5.4)."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.pre_norm = config.norm == "pre"
        self.attention = MultiHeadAttention(config)
        self.attention_norm = nn.LayerNorm(config.d_model, eps=config.layer_norm_eps)
        self.feed_forward = FeedForward(config)
        self.feed_forward_norm = nn.LayerNorm(config.d_model, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """(B, S, D), mask (B, S) -> (B, S, D)."""
        if self.pre_norm:
            x = x + self.dropout(self.attention(self.attention_norm(x), mask))
            x = x + self.dropout(self.feed_forward(self.feed_forward_norm(x)))
        else:
            x = self.attention_norm(x + self.dropout(self.attention(x, mask)))
            x = self.feed_forward_norm(x + self.dropout(self.feed_forward(x)))
        return x

    def attention_weights(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """The attention of this layer on its input. (B, S, D), mask (B, S) -> (B, H, S, S)."""
        return self.attention.weights(self.attention_norm(x) if self.pre_norm else x, mask)


class TransformerEncoder(nn.Module):
    """Token ids to one D-wide vector per token, through N identical layers.

    Weights start as Xavier-uniform matrices and N(0, 1 / D) embeddings, so that the scaled embedding has
    the same size as the positional encoding.
    """

    positions: Tensor

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.tokens = nn.Embedding(config.vocab_size, config.d_model)
        self.embedding_scale = math.sqrt(config.d_model) if config.scale_embeddings else 1.0
        if config.positions != "sinusoidal":
            self.positions = nn.Parameter(torch.empty(config.position_rows, config.d_model))
        else:
            table = sinusoidal_positions(config.max_positions, config.d_model)
            self.register_buffer("positions", table, persistent=False)
        self.embedding_norm = (
            nn.LayerNorm(config.d_model, eps=config.layer_norm_eps) if config.norm_embeddings else None
        )
        self.dropout = nn.Dropout(config.dropout)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.n_layers))
        self.final_norm = (
            nn.LayerNorm(config.d_model, eps=config.layer_norm_eps) if config.norm == "pre" else None
        )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw fresh weights from torch's global generator."""
        for name, parameter in self.named_parameters():
            if name in ("tokens.weight", "positions"):
                nn.init.normal_(parameter, std=self.config.d_model**-0.5)
            elif parameter.dim() == 2:
                nn.init.xavier_uniform_(parameter)
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)
            else:  # the gain of a LayerNorm
                nn.init.ones_(parameter)

    def embed(self, ids: Tensor) -> Tensor:
        """Token embedding (times sqrt(D) where configured) plus position. (B, S) int64 -> (B, S, D)."""
        x: Tensor = self.tokens(ids)
        if self.embedding_scale != 1.0:
            x = x * self.embedding_scale
        if self.config.positions == "counted":
            x = x + F.embedding(counted_positions(ids, self.config.pad_id), self.positions)
        else:
            x = x + self.positions[: ids.shape[1]]
        if self.embedding_norm is not None:
            x = self.embedding_norm(x)
        out: Tensor = self.dropout(x)
        return out

    def forward(self, ids: Tensor, mask: Tensor | None = None) -> Tensor:
        """Hidden states of the last layer.

        Args:
            ids: (B, S) int64 token ids, S at most `config.max_positions`.
            mask: (B, S) bool, True where a token is real. None where every token is.

        Returns: (B, S, D). Rows at padded positions hold no meaning.

        Raises:
            ConfigError: Where the sequence is longer than the encoder has positions for.
        """
        if not torch.compiler.is_compiling() and ids.shape[1] > self.config.max_positions:
            raise ConfigError(
                f"the sequence has {ids.shape[1]} tokens; this encoder has positions for "
                f"{self.config.max_positions}: truncate the text"
            )
        return self.transform(self.embed(ids), mask)

    def transform(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """The N layers, and the LayerNorm that follows them in a pre-norm encoder. (B, S, D) -> same."""
        for layer in self.layers:
            x = layer(x, mask)
        return x if self.final_norm is None else self.final_norm(x)

    @torch.no_grad()
    def attention_weights(self, ids: Tensor, mask: Tensor | None = None) -> list[Tensor]:
        """The attention of every layer, for looking inside. (B, S) -> N times (B, H, S, S)."""
        x, weights = self.embed(ids), []
        for layer in cast("Iterable[Layer]", self.layers):
            weights.append(layer.attention_weights(x, mask))
            x = layer(x, mask)
        return weights

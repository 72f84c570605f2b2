"""The Transformer encoder (Vaswani et al. 2017, sections 3.1 to 3.5).

Shapes are written with: B batch, S tokens, D d_model, H heads.
Masks are boolean, True where a token is real and False where it is padding.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sestina_model._errors import ConfigError
from sestina_model.attention import (
    AttentionCore,
    MultiHeadAttention,
    Scoring,
    Shared,
    dot_product_attention,
    split_heads,
)
from sestina_model.config import EncoderConfig
from sestina_model.feed_forward import FeedForward
from sestina_model.norms import make_norm

__all__ = [
    "AttentionCore",
    "FeedForward",
    "Layer",
    "MultiHeadAttention",
    "Scoring",
    "TransformerEncoder",
    "counted_positions",
    "dot_product_attention",
    "sinusoidal_positions",
    "split_heads",
]


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


class Layer(nn.Module):
    """Two sublayers, each with a residual connection, norm and dropout (sections 3.1 and 5.4)."""

    def __init__(self, config: EncoderConfig, place: int = 0, shared: Shared | None = None) -> None:
        super().__init__()
        d_model, sandwich = config.d_model, config.norm == "sandwich"
        self.norm = config.norm
        self.attention = MultiHeadAttention(config, place, shared)
        bare = place == 0 and config.norm == "pre" and not config.first_norm
        self.attention_norm = nn.Identity() if bare else make_norm(config, d_model)
        self.attention_output_norm = make_norm(config, d_model) if sandwich else None
        self.feed_forward = FeedForward(config)
        self.feed_forward_norm = make_norm(config, d_model)
        self.feed_forward_output_norm = make_norm(config, d_model) if sandwich else None
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """(B, S, D), mask (B, S) -> (B, S, D)."""
        if self.norm == "post":
            x = self.attention_norm(x + self.dropout(self.attention(x, mask)))
            out: Tensor = self.feed_forward_norm(x + self.dropout(self.feed_forward(x)))
            return out
        attended = self.attention(self.attention_norm(x), mask)
        if self.attention_output_norm is not None:
            attended = self.attention_output_norm(attended)
        x = x + self.dropout(attended)
        fed = self.feed_forward(self.feed_forward_norm(x))
        if self.feed_forward_output_norm is not None:
            fed = self.feed_forward_output_norm(fed)
        return torch.add(x, self.dropout(fed))

    def attention_weights(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """The attention of this layer on its input. (B, S, D), mask (B, S) -> (B, H, S, S)."""
        return self.attention.weights(x if self.norm == "post" else self.attention_norm(x), mask)


class TransformerEncoder(nn.Module):
    """Token ids to one D-wide vector per token, through N layers.

    Weights start as Xavier-uniform matrices and N(0, 1 / D) embeddings, so that the scaled embedding has
    the same size as the positional encoding.

    Attributes:
        positions: The position table (position_rows, embedding width), where positions are added.
        token_types: The token-type table (n_token_types, embedding width), where texts have types.
        layers: The layers that have weights of their own; `stack` has them in the order they are run in.
    """

    positions: Tensor
    token_types: Tensor

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        width = config.embedding_width
        self.tokens = nn.Embedding(config.vocab_size, width)
        self.embedding_scale = math.sqrt(config.d_model) if config.scale_embeddings else 1.0
        if config.positions == "sinusoidal":
            table = sinusoidal_positions(config.max_positions, width)
            self.register_buffer("positions", table, persistent=False)
        elif config.has_position_table:
            self.positions = nn.Parameter(torch.empty(config.position_rows, width))
        if config.n_token_types is not None:
            self.token_types = nn.Parameter(torch.empty(config.n_token_types, width))
        last = config.projection == "before_norm"
        self.embedding_norm = (
            make_norm(config, config.d_model if last else width) if config.norm_embeddings else None
        )
        self.embedding_projection = (
            None
            if config.d_embedding is None
            else nn.Linear(config.d_embedding, config.d_model, bias=config.projection_bias)
        )
        self.dropout = nn.Dropout(config.dropout)
        self.shared = Shared(config)
        count = len(set(config.shared_layers)) or config.n_layers
        self.layers = nn.ModuleList(Layer(config, place, self.shared) for place in range(count))
        self.final_norm = None if config.norm == "post" else make_norm(config, config.d_model)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw fresh weights from torch's global generator."""
        for name, parameter in self.named_parameters():
            if name in ("tokens.weight", "positions", "token_types"):
                nn.init.normal_(parameter, std=self.config.d_model**-0.5)
            elif parameter.dim() == 2:
                nn.init.xavier_uniform_(parameter)
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)
            else:  # the gain of a norm
                nn.init.ones_(parameter)

    def compute(self) -> None:
        """Fill what is computed and never read, in an encoder made on the meta device."""
        if self.config.positions == "sinusoidal":
            self.positions = sinusoidal_positions(self.config.max_positions, self.config.embedding_width)
        self.shared.compute()

    def stack(self) -> Iterator[Layer]:
        """The N layers in the order they are run in; those that share weights are one module."""
        layers = cast("Sequence[Layer]", self.layers)
        return (layers[number] for number in self.config.shared_layers or range(len(layers)))

    def embed(self, ids: Tensor, types: Tensor | None = None) -> Tensor:
        """Token embedding (times sqrt(D) where configured) plus position, plus token type where there are
        such (None: all 0). Twice (B, S) int64 -> (B, S, D).
        """
        x: Tensor = self.tokens(ids)
        if self.embedding_scale != 1.0:
            x = x * self.embedding_scale
        if self.config.positions == "counted":
            x = x + F.embedding(counted_positions(ids, self.config.pad_id), self.positions)
        elif self.config.has_position_table:
            x = x + self.positions[: ids.shape[1]]
        if self.config.n_token_types is not None:
            x = x + (self.token_types[0] if types is None else F.embedding(types, self.token_types))
        out: Tensor = self.dropout(self.project(x))
        return out

    def project(self, x: Tensor) -> Tensor:
        """What follows the sum of embeddings: its norm, and its map to D, in their order, as configured."""
        if self.embedding_projection is not None and self.config.projection == "before_norm":
            x = self.embedding_projection(x)
        if self.embedding_norm is not None:
            x = self.embedding_norm(x)
        if self.embedding_projection is not None and self.config.projection == "after_norm":
            x = self.embedding_projection(x)
        return x

    def forward(self, ids: Tensor, mask: Tensor | None = None, types: Tensor | None = None) -> Tensor:
        """Hidden states of the last layer.

        Args:
            ids: (B, S) int64 token ids, S at most `config.max_positions`.
            mask: (B, S) bool, True where a token is real. None where every token is.
            types: (B, S) int64 token types, of an encoder that has them; None: all 0.

        Returns: (B, S, D). Rows at padded positions hold no meaning.

        Raises:
            ConfigError: Where the sequence is longer than the encoder has positions for.
        """
        if not torch.compiler.is_compiling() and ids.shape[1] > self.config.max_positions:
            raise ConfigError(
                f"the sequence has {ids.shape[1]} tokens; this encoder has positions for "
                f"{self.config.max_positions}: truncate the text"
            )
        return self.transform(self.embed(ids, types), mask)

    def transform(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """The N layers, and the norm that follows them in a pre-norm encoder. (B, S, D) -> same."""
        for layer in self.stack():
            x = layer(x, mask)
        return x if self.final_norm is None else self.final_norm(x)

    @torch.no_grad()
    def attention_weights(self, ids: Tensor, mask: Tensor | None = None) -> list[Tensor]:
        """The attention of every layer, for looking inside. (B, S) -> N times (B, H, S, S)."""
        x, weights = self.embed(ids), []
        for layer in self.stack():
            weights.append(layer.attention_weights(x, mask))
            x = layer(x, mask)
        return weights

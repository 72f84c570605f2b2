"""Multi-head attention (Vaswani et al. 2017, section 3.2), and all that may bear on a score.

Shapes: B batch, S tokens, D d_model, H heads, G heads of keys and values, K width of a head. Masks are
boolean, True where a token is real and False where it is padding.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sestina_model.config import EncoderConfig
from sestina_model.relative import DisentangledBias, DistanceEmbeddings, RelativeBias
from sestina_model.rotary import RotaryTable

__all__ = [
    "AttentionCore",
    "MultiHeadAttention",
    "Scoring",
    "Shared",
    "dot_product_attention",
    "split_heads",
]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Scoring:
    """How the scores of one layer come about, but for its projections.

    Attributes:
        n_heads: H.
        n_kv_heads: G; head h of the queries reads head h // (H / G) of keys and values.
        d_head: K.
        scale: What products of queries and keys are multiplied by.
        causal: Whether a token attends only to itself and those before it.
        window: Tokens to each side that it attends to, besides itself; None: all.
        rotary: What turns queries and keys, or None.
        bias: What is added to scaled scores: of queries and keys (B, S, H * K), as the projections gave
            them, (1 or B, H, S, S); or None. A `RelativeBias` or a `DisentangledBias`.
    """

    n_heads: int
    n_kv_heads: int
    d_head: int
    scale: float
    causal: bool = False
    window: int | None = None
    rotary: RotaryTable | None = None
    bias: RelativeBias | DisentangledBias | None = None

    def allowed(self, length: int, mask: Tensor | None, device: torch.device) -> Tensor | None:
        """Which key each query may attend to: bool, to broadcast over (B, H, S, S); None: all."""
        real = None if mask is None else mask[:, None, None, :]
        if not self.causal and self.window is None:
            return real
        places = torch.arange(length, device=device)
        behind = places[:, None] - places[None, :]  # query minus key
        near = torch.ones_like(behind, dtype=torch.bool)
        if self.causal:
            near = behind >= 0
        if self.window is not None:
            near = near & (behind.abs() <= self.window)
        return near if real is None else near & real


# (q (B, S, H * K), k and v (B, S, G * K), the mask (B, S) or None, how scores come about) -> (B, S, H * K).
AttentionCore = Callable[[Tensor, Tensor, Tensor, Tensor | None, Scoring], Tensor]


def split_heads(x: Tensor, n_heads: int) -> Tensor:
    """(B, S, H * K) -> (B, H, S, K)."""
    return x.view(*x.shape[:-1], n_heads, x.shape[-1] // n_heads).transpose(1, 2)


def _heads(q: Tensor, k: Tensor, scoring: Scoring) -> tuple[Tensor, Tensor]:
    """Queries and keys that are turned, each (B, H, S, K)."""
    q, k = split_heads(q, scoring.n_heads), split_heads(k, scoring.n_kv_heads)
    if scoring.rotary is not None:
        q, k = scoring.rotary(q), scoring.rotary(k)
    return q, _repeated(k, scoring)


def _repeated(x: Tensor, scoring: Scoring) -> Tensor:
    """Each head of keys or values as often as queries read it (Ainslie et al. 2023, section 2.2)."""
    times = scoring.n_heads // scoring.n_kv_heads
    return x if times == 1 else x.repeat_interleave(times, 1)


def dot_product_attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, scoring: Scoring) -> Tensor:
    """softmax(Q K^T * scale + bias) V in every head (section 3.2.1), over the keys that are allowed."""
    allowed = scoring.allowed(q.shape[1], mask, q.device)
    if scoring.bias is not None:
        bias = scoring.bias(q, k)
        allowed = bias if allowed is None else bias.masked_fill(~allowed, -torch.inf)
    queries, keys = _heads(q, k, scoring)
    values = _repeated(split_heads(v, scoring.n_kv_heads), scoring)
    out = F.scaled_dot_product_attention(queries, keys, values, attn_mask=allowed, scale=scoring.scale)
    return out.transpose(1, 2).flatten(2)  # (B, H, S, K) -> (B, S, H * K)


class Shared(nn.Module):
    """What the layers of one encoder share for their scores, as far as configured.

    Attributes:
        rotary: The table for queries and keys.
        local_rotary: That of local layers, where it is another.
        relative: The `RelativeBias` or the `DistanceEmbeddings` of all layers.
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()

        def table(rotary: object) -> RotaryTable | None:
            return RotaryTable(rotary, config.d_head, config.max_positions) if rotary else None  # type: ignore[arg-type]

        self.rotary, self.local_rotary = table(config.rotary), table(config.local_rotary)
        self.relative: RelativeBias | DistanceEmbeddings | None = None
        if config.relative == "shared":
            self.relative = RelativeBias(config)
        elif config.relative == "disentangled":
            self.relative = DistanceEmbeddings(config)

    def compute(self) -> None:
        """Fill what is computed and not read, in an encoder made on the meta device."""
        for table in (self.rotary, self.local_rotary):
            if table is not None:
                table.compute()


class MultiHeadAttention(nn.Module):
    """Every token gathers from all tokens, in H different ways side by side (section 3.2.2).

    `core` is the part between the projections. It is an attribute so that an exporter can put the one
    fused node of its target in the place of the reference computation; `scoring` tells it the rest.
    """

    def __init__(self, config: EncoderConfig, place: int = 0, shared: Shared | None = None) -> None:
        super().__init__()
        wide, narrow = config.n_heads * config.d_head, config.kv_heads * config.d_head
        bias = config.attention_bias
        self.n_heads = config.n_heads
        self.query = nn.Linear(config.d_model, wide, bias=bias)
        self.key = nn.Linear(config.d_model, narrow, bias=bias)
        self.value = nn.Linear(config.d_model, narrow, bias=bias)
        self.output = nn.Linear(wide, config.d_model, bias=bias)
        # Of each head (Henry et al. 2020, "Query-Key Normalization", with an RMSNorm).
        normed = config.query_key_norm
        self.query_norm = nn.RMSNorm(config.d_head, eps=config.layer_norm_eps) if normed else None
        self.key_norm = nn.RMSNorm(config.d_head, eps=config.layer_norm_eps) if normed else None
        self.core: AttentionCore = dot_product_attention
        self.scoring = self._scoring(config, place, Shared(config) if shared is None else shared)

    def _scoring(self, config: EncoderConfig, place: int, shared: Shared) -> Scoring:
        local = place in config.local_layers
        self.relative: RelativeBias | DisentangledBias | None = None  # this layer's own
        self.position_key: nn.Linear | None = None
        self.position_query: nn.Linear | None = None
        if config.relative == "layer":
            self.relative = RelativeBias(config)
        elif isinstance(shared.relative, DistanceEmbeddings):
            wide = config.n_heads * config.d_head
            own, terms = config.relative_own_maps, config.relative_terms
            if own and "content_to_position" in terms:
                self.position_key = nn.Linear(config.d_model, wide)
            if own and "position_to_content" in terms:
                self.position_query = nn.Linear(config.d_model, wide)
            key = self.key if self.position_key is None else self.position_key
            query = self.query if self.position_query is None else self.position_query
            self.relative = DisentangledBias(config, shared.relative, key, query)
        return Scoring(
            n_heads=config.n_heads,
            n_kv_heads=config.kv_heads,
            d_head=config.d_head,
            scale=config.scale,
            causal=config.causal,
            window=config.window if local else None,
            rotary=shared.local_rotary if local and shared.local_rotary is not None else shared.rotary,
            bias=shared.relative if isinstance(shared.relative, RelativeBias) else self.relative,
        )

    def _projected(self, x: Tensor) -> tuple[Tensor, Tensor]:
        q, k = self.query(x), self.key(x)
        if self.query_norm is not None and self.key_norm is not None:
            d_head = self.scoring.d_head
            q = self.query_norm(q.unflatten(-1, (-1, d_head))).flatten(-2)
            k = self.key_norm(k.unflatten(-1, (-1, d_head))).flatten(-2)
        return q, k

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """(B, S, D), mask (B, S) -> (B, S, D)."""
        q, k = self._projected(x)
        out: Tensor = self.output(self.core(q, k, self.value(x), mask, self.scoring))
        return out

    def weights(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """The attention itself: how much each token (row) takes from each token (column).

        (B, S, D), mask (B, S) -> (B, H, S, S); every row sums to 1, those not attended to are 0. A text
        that is nothing but padding has zeros throughout.
        """
        q, k = self._projected(x)
        queries, keys = _heads(q, k, self.scoring)
        scores = queries @ keys.transpose(-1, -2) * self.scoring.scale
        if self.scoring.bias is not None:
            scores = scores + self.scoring.bias(q, k)
        allowed = self.scoring.allowed(x.shape[1], mask, x.device)
        if allowed is not None:
            scores = scores.masked_fill(~allowed, -torch.inf)
        return scores.softmax(-1).nan_to_num()

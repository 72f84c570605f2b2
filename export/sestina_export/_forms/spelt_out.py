"""The core of attention in standard operators, with a mask: each head's scores are there to be added to.

What depends on the distance of two tokens alone, a bias, a window, what is to come, is one table by distance,
and rotary tables are cut to the length. A session that fixes the length has constants of both.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sestina_export._forms.counts import Counts
from sestina_export._forms.nodes import node
from sestina_export._forms.scores import HeadNorms, is_local
from sestina_model.attention import MultiHeadAttention, Scoring
from sestina_model.relative import DisentangledBias, RelativeBias
from sestina_model.rotary import RotaryTable

__all__ = ["SpeltOutAttention", "terms_of"]


def terms_of(counts: Counts, longest: int) -> int:
    """How many tables by distance the layers of an encoder add to their scores."""
    config = counts.config
    window = config.window is not None and config.window < longest - 1
    numbers = range(config.n_layers)
    kinds = {
        (number if config.relative == "layer" else config.relative, window and number in config.local_layers)
        for number in numbers
    }
    return sum(1 for relative, local in kinds if relative != "none" or local or config.causal)


class SpeltOutAttention(nn.Module):
    """What stands in for the core of every attention. Queries come scaled, keys and values of every head.

    Args:
        attentions: All attentions of the encoder, each once.
        longest: Tokens of the longest text.
        masked: What is added to scores that do not count.
    """

    places: Tensor

    def __init__(self, attentions: Sequence[MultiHeadAttention], longest: int, masked: float) -> None:
        super().__init__()
        self._longest, self._masked = longest, masked
        self.head_norms: HeadNorms = {}
        self._turns: dict[RotaryTable, _Turn] = {}
        self._rows: dict[object, _Rows] = {}
        for attention in attentions:
            scoring = attention.scoring
            if scoring.rotary is not None and scoring.rotary not in self._turns:
                self._turns[scoring.rotary] = _Turn(scoring.rotary, longest)
            rows = self._by_distance(scoring)
            if rows is not None:
                self._rows.setdefault(self._key(scoring), _Rows(rows))
        self.constants = nn.ModuleList([*self._turns.values(), *self._rows.values()])
        self.register_buffer("places", torch.arange(longest, dtype=torch.int32))

    def begin(self, ids: Tensor) -> None:
        """A batch of these ids (B, S) comes next."""
        self._ids = ids
        self._made: dict[object, Tensor] = {}

    def forward(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, scoring: Scoring) -> Tensor:
        """softmax(Q K^T + mask) V in every head, of queries that are scaled. (B, S, H * K) -> the same."""
        if mask is None:
            raise ValueError("this form always has a mask")
        batch, length, width = q.shape
        n_heads = scoring.n_heads
        split = torch.tensor([0, 0, n_heads, width // n_heads])  # 0 keeps an axis as it is
        joined = torch.tensor([0, 0, width])
        heads = (batch, length, n_heads, width // n_heads)
        q, k, v = (node("Reshape", (x, split), heads) for x in (q, k, v))
        query_norm, key_norm = self.head_norms.get(scoring, (None, None))
        if query_norm is not None and key_norm is not None:  # no scale goes through a norm
            q, k = query_norm(q) * scoring.scale, key_norm(k)
        if scoring.rotary is not None:
            cos, sin = self._turn(scoring.rotary)
            turn = self._turns[scoring.rotary]
            q, k = turn(q, cos, sin), turn(k, cos, sin)
        mask = self._with_terms(mask, scoring)
        weights = (q.transpose(1, 2) @ k.permute(0, 2, 3, 1) + mask).softmax(-1)  # (B, H, S, S)
        mixed = (weights @ v.transpose(1, 2)).transpose(1, 2)
        return node("Reshape", (mixed, joined), (batch, length, width))  # from (B, S, H, K)

    def length(self) -> Tensor:
        """S as a tensor (1,), the one shape that is computed: a constant once it is fixed."""
        if "length" not in self._made:
            self._made["length"] = node("Shape", (self._ids,), (1,), dtype=torch.int64, start=1)
        return self._made["length"]

    def cut(self, table: Tensor) -> Tensor:
        """The first S rows of a constant."""
        zero = torch.zeros(1, dtype=torch.int64)
        shape = (self._ids.shape[1], *table.shape[1:])
        return node("Slice", (table, zero, self.length(), zero), shape, dtype=table.dtype)

    def _turn(self, rotary: RotaryTable) -> tuple[Tensor, Tensor]:
        if ("cos", rotary) not in self._made:
            turn = self._turns[rotary]
            self._made["cos", rotary], self._made["sin", rotary] = self.cut(turn.cos), self.cut(turn.sin)
        return self._made["cos", rotary], self._made["sin", rotary]

    def _key(self, scoring: Scoring) -> object:
        local = is_local(scoring, self._longest)
        return (scoring.bias, scoring.window if local else None, scoring.causal)

    def _by_distance(self, scoring: Scoring) -> Tensor | None:
        """What is added to the score of every distance, key minus query: (2 longest - 1, H or 1)."""
        if isinstance(scoring.bias, DisentangledBias):
            raise TypeError("what depends on content and distance is refused before: see LIMITS")
        distances = torch.arange(1 - self._longest, self._longest)
        beyond = distances > 0 if scoring.causal else torch.zeros_like(distances, dtype=torch.bool)
        if is_local(scoring, self._longest):
            beyond = beyond | (distances.abs() > (scoring.window or 0))
        if isinstance(scoring.bias, RelativeBias):
            rows = scoring.bias.by_distance(self._longest).detach().clone()
        elif beyond.any():
            rows = torch.zeros(len(distances), 1)
        else:
            return None
        rows[beyond] = self._masked
        return rows

    def _with_terms(self, mask: Tensor, scoring: Scoring) -> Tensor:
        """The mask (B, 1, 1, S) and what is added by distance: (B, H or 1, S, S), once for all layers."""
        key = self._key(scoring)
        if key not in self._rows:
            return mask
        if key not in self._made:
            places = self.cut(self.places)
            middle = torch.tensor(self._longest - 1, dtype=torch.int32)
            at = places[None, :] - places[:, None] + middle
            rows = self._rows[key].rows
            picked = node("Gather", (rows, at), (*at.shape, rows.shape[1]), axis=0)
            self._made[key] = mask + picked.permute(2, 0, 1)[None]
        return self._made[key]


class _Rows(nn.Module):
    rows: Tensor

    def __init__(self, rows: Tensor) -> None:
        super().__init__()
        self.register_buffer("rows", rows)


class _Turn(nn.Module):
    """Rotation by tables that lie along the tokens of (B, S, H, K)."""

    cos: Tensor
    sin: Tensor

    def __init__(self, table: RotaryTable, longest: int) -> None:
        super().__init__()
        self._width, self._interleaved = table.width, table.interleaved
        self.register_buffer("cos", table.cos[:longest, None].clone())  # (longest, 1, R / 2)
        self.register_buffer("sin", table.sin[:longest, None].clone())

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """(B, S, H, K) and twice (S, 1, R / 2) -> (B, S, H, K)."""
        width, half = self._width, self._width // 2
        if self._interleaved:
            a, b = x[..., 0:width:2], x[..., 1:width:2]
            pairs = torch.stack((a * cos - b * sin, b * cos + a * sin), -1)
            shape = (*x.shape[:3], width)
            turned = node("Reshape", (pairs, torch.tensor([0, 0, 0, width])), shape)
        else:
            a, b = x[..., :half], x[..., half:width]
            turned = torch.cat((a * cos - b * sin, b * cos + a * sin), -1)
        return turned if width == x.shape[-1] else torch.cat((turned, x[..., width:]), -1)

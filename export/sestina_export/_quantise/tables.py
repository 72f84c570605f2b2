"""Tokens and positions in fewer bytes than float32."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sestina_export._forms.base import RowEncoder, longest
from sestina_model.config import EncoderConfig
from sestina_model.encoder import counted_positions
from sestina_model.sentence import SentenceEncoder

__all__ = ["Int8RowEncoder", "Int8Table"]

_ROWS = 1 << 12  # of a table that are rounded at once


class Int8Table(nn.Module):
    """Rows of int8, each with a scale of its own: in float16, where that holds all of them."""

    rows: Tensor
    scales: Tensor

    def __init__(self, table: Tensor) -> None:
        super().__init__()
        scales = torch.maximum(table.amax(1, keepdim=True), -table.amin(1, keepdim=True)) / 127
        scales = torch.where(scales > 0, scales, torch.ones_like(scales))
        half = scales.half()
        if bool((half.isfinite() & (half >= torch.finfo(torch.float16).tiny)).all()):
            scales = half
        rows = torch.empty(table.shape, dtype=torch.int8)
        floats = scales.float()
        for at in range(0, len(table), _ROWS):  # of a large table every step would be as large
            some = slice(at, at + _ROWS)
            rows[some] = (table[some] / floats[some]).round().clamp(-127, 127).to(torch.int8)
        self.register_buffer("rows", rows)
        self.register_buffer("scales", scales)

    def forward(self, ids: Tensor) -> Tensor:
        """(B, S) int64 -> (B, S, D) float32."""
        rows, scales = F.embedding(ids, self.rows), F.embedding(ids, self.scales)
        return rows.to(torch.float32) * scales.to(torch.float32)


class _Positions(nn.Module):
    """Positions in less than float32, and none beyond the limit: of a small encoder they are megabytes.

    Sinusoids are all of one size, so int8 holds them to a 254th of it. Learned positions have dimensions that
    stand far out, and are kept in float16.
    """

    rows: Tensor

    def __init__(self, table: Tensor, *, sinusoidal: bool) -> None:
        super().__init__()
        self._scale = float(table.abs().max()) / 127 if sinusoidal else None
        self.register_buffer(
            "rows", table.half() if self._scale is None else (table / self._scale).round().to(torch.int8)
        )

    def forward(self, ids: Tensor, config: EncoderConfig) -> Tensor:
        """Those of (B, S) ids: (S, D) float32, or (B, S, D) where they are counted."""
        if config.positions == "counted":
            rows = F.embedding(counted_positions(ids, config.pad_id), self.rows)
        else:
            rows = self.rows[: ids.shape[1]]
        rows = rows.to(torch.float32)
        return rows if self._scale is None else rows * self._scale


class Int8RowEncoder(RowEncoder):
    """A `RowEncoder` with smaller positions."""

    def __init__(self, model: SentenceEncoder) -> None:
        super().__init__(model)
        config = model.encoder.config
        self.positions: _Positions | None = None
        if config.has_position_table:
            rows = longest(model) + (config.positions == "counted")
            table = model.encoder.positions.detach()[:rows]
            self.positions = _Positions(table, sinusoidal=config.positions == "sinusoidal")

    def embed(self, ids: Tensor, types: Tensor | None) -> Tensor:
        """As `TransformerEncoder.embed`, of scaled tokens. (B, S) -> (B, S, D)."""
        encoder = self.model.encoder
        x: Tensor = encoder.tokens(ids)
        if self.positions is not None:
            x = x + self.positions(ids, encoder.config)
        if types is not None:
            x = x + F.embedding(types, encoder.token_types)
        return encoder.project(x)

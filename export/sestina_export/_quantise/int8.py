"""Linear maps and token table in int8, with scales that no text's neighbours can change."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sestina_export._forms.base import RowEncoder, RowForm, longest
from sestina_export._quantise.calibrate import InputStatistics
from sestina_export._quantise.rounding import column_scales, round_to_int8
from sestina_model.config import EncoderConfig
from sestina_model.encoder import counted_positions
from sestina_model.sentence import SentenceEncoder

__all__ = ["Int8Form"]

_ROWS = 1 << 12  # of a table that are rounded at once
_ALPHA = 0.8  # how much of the channels' differences moves from activations to weights


class Int8Form(RowForm):
    """Static int8: every scale is a constant of the graph, so a vector is bit-equal in any company.

    The channels of an input differ in size by two orders, and one scale must serve them all. They are
    evened out first: x / s times s W, with s = high(x)^alpha / high(W)^(1 - alpha) per channel
    (SmoothQuant, Xiao et al. 2023, equation 4). After ReLU the division is folded into the map before.
    """

    def __init__(self, config: EncoderConfig, statistics: Mapping[str, InputStatistics]) -> None:
        self._config = config
        self._statistics = dict(statistics)
        self._peers: dict[str, dict[str, nn.Linear]] = {}
        self._inputs: dict[str, _Input] = {}

    def prepare(self, linears: Mapping[str, nn.Linear]) -> None:
        """Decide how each input is quantised, before the maps that read it are.

        Args:
            linears: All linear maps of the layers, by path.
        """
        for path in self._statistics:
            base, _, name = path.rpartition(".")
            readers = [path]
            if name in ("query", "key", "value"):
                if name != "query":
                    continue
                readers = [f"{base}.{each}" for each in ("query", "key", "value")]
            smooth = None
            if not path.endswith("attention.output"):  # its channels are even already
                smooth = _smoothing(self._statistics[path], [linears[reader] for reader in readers])
            folded = path.endswith("feed_forward.output") and self._config.activation == "relu"
            shared = _Input(self._statistics[path], smooth, folded)
            self._inputs.update(dict.fromkeys(readers, shared))

    def encoder(self, model: SentenceEncoder) -> RowEncoder:
        """Rows, as `RowForm` has them, from smaller positions."""
        return _Int8RowEncoder(model)

    def linear(self, path: str, linear: nn.Linear) -> nn.Module:
        """QuantizeLinear of the evened input, then com.microsoft.MatMulIntegerToFloat with the bias."""
        after = self._inputs[path.replace("inner", "output")] if path.endswith("inner") else None
        divide = after.smooth if after is not None and after.folded else None
        # Nobody needs them after this, and those of a large encoder are as large as its layers.
        hessian = self._statistics.pop(path).hessian
        return _Int8Linear(linear, hessian, self._inputs[path], divide)

    def table(self, table: Tensor) -> nn.Module:
        """Rows of int8, a scale per row."""
        return _Int8Table(table)

    def expected_nodes(self, config: EncoderConfig) -> Mapping[str, int]:
        """Four quantised inputs (query, key and value share theirs) and six products a layer."""
        n = config.n_layers
        return {
            "QuantizeLinear": 4 * n,
            "MatMulIntegerToFloat": 6 * n,
            "Gemm": 0,
            "MultiHeadAttention": n,
            "Softmax": 0,
        }


def _smoothing(statistics: InputStatistics, readers: list[nn.Linear]) -> Tensor:
    inputs = torch.maximum(statistics.high.abs(), statistics.low.abs()).clamp(min=1e-5)
    weights = torch.stack([linear.weight.detach().abs().amax(0) for linear in readers]).amax(0)
    scale: Tensor = inputs**_ALPHA / weights.clamp(min=1e-5) ** (1 - _ALPHA)
    return scale / scale.mean()


class _Input(nn.Module):
    """An input as unsigned bytes. The same object serves query, key and value, and is traced once for all."""

    scale: Tensor
    zero: Tensor
    inverse: Tensor

    def __init__(self, statistics: InputStatistics, smooth: Tensor | None, folded: bool) -> None:
        super().__init__()
        ones = torch.ones_like(statistics.high)
        self.smooth = ones if smooth is None else smooth
        self.folded = folded
        self.multiplied = smooth is not None and not folded
        low = float((statistics.low / self.smooth).min().clamp(max=0))
        high = float((statistics.high / self.smooth).max().clamp(min=0))
        scale = max((high - low) / 255, 1e-12)
        self.register_buffer("scale", torch.tensor(scale))
        self.register_buffer("zero", torch.tensor(round(-low / scale), dtype=torch.uint8))
        self.register_buffer("inverse", 1 / self.smooth)

    def forward(self, x: Tensor) -> Tensor:
        """(n, K) float32 -> (n, K) uint8."""
        if self.multiplied:
            x = x * self.inverse
        return torch.onnx.ops.symbolic(
            "QuantizeLinear", (x, self.scale, self.zero), dtype=torch.uint8, shape=x.shape
        )


class _Int8Linear(nn.Module):
    integers: Tensor
    scales: Tensor
    bias: Tensor

    def __init__(self, linear: nn.Linear, hessian: Tensor, source: _Input, divide: Tensor | None) -> None:
        super().__init__()
        self.source = source
        weight = linear.weight.detach().T * source.smooth[:, None]  # (K, N)
        scales = column_scales(weight)
        evened = hessian / (source.smooth[:, None] * source.smooth)
        self.register_buffer("integers", round_to_int8(weight, scales, evened).contiguous())
        bias = linear.bias.detach()
        self.register_buffer("scales", scales if divide is None else scales / divide)
        self.register_buffer("bias", bias if divide is None else bias / divide)

    def forward(self, x: Tensor) -> Tensor:
        """(n, K) float32 -> (n, N) float32."""
        source = self.source
        operands = (source(x), self.integers, source.scale, self.scales, source.zero, None, self.bias)
        return torch.onnx.ops.symbolic(
            "com.microsoft::MatMulIntegerToFloat",
            operands,
            dtype=torch.float32,
            shape=(x.shape[0], self.integers.shape[1]),
            version=1,
        )


class _Int8Table(nn.Module):
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


class _Int8RowEncoder(RowEncoder):
    """A `RowEncoder` with smaller positions."""

    def __init__(self, model: SentenceEncoder) -> None:
        super().__init__(model)
        config, table = model.encoder.config, model.encoder.positions.detach()
        rows = longest(model) + (config.positions == "counted")
        self.positions = _Positions(table[:rows], sinusoidal=config.positions == "sinusoidal")

    def embed(self, ids: Tensor) -> Tensor:
        """As `TransformerEncoder.embed`, of scaled tokens. (B, S) -> (B, S, D)."""
        encoder = self.model.encoder
        x: Tensor = encoder.tokens(ids) + self.positions(ids, encoder.config)
        return x if encoder.embedding_norm is None else encoder.embedding_norm(x)

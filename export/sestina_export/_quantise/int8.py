"""Linear maps and token table in int8, with scales that no text's neighbours can change."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import copy

import torch
from torch import Tensor, nn

from sestina_export._forms.base import RowEncoder, RowForm, float32_linear
from sestina_export._forms.counts import Counts
from sestina_export._forms.fused import fused_nodes
from sestina_export._quantise.calibrate import InputStatistics, readers_of
from sestina_export._quantise.rounding import column_scales, round_to_int8
from sestina_export._quantise.tables import Int8RowEncoder, Int8Table
from sestina_model.config import EncoderConfig
from sestina_model.sentence import SentenceEncoder

__all__ = ["Input", "Int8Form"]

_ALPHA = 0.8  # how much of the channels' differences moves from activations to weights


class Int8Form(RowForm):
    """Static int8: every scale is a constant of the graph, so a vector is bit-equal in any company.

    The channels of an input differ in size by two orders, and one scale must serve them all. They are
    evened out first: x / s times s W, with s = high(x)^alpha / high(W)^(1 - alpha) per channel
    (SmoothQuant, Xiao et al. 2023, equation 4). After ReLU, and in a gated network, the division is folded
    into the map before.

    Args:
        config: Of the encoder.
        statistics: Of each input, by the path of each map that reads it.
        linears: All linear maps of the layers, by path.

    Attributes:
        kept: Inputs whose products stay in float32, by the path of the first map that reads each.
        inputs: What reads each path's input.
        rounded: Integers and scales of maps by path.
        ranking: The inputs from that whose products are the most rounded on, once that is measured.
    """

    def __init__(
        self,
        config: EncoderConfig,
        statistics: Mapping[str, InputStatistics],
        linears: Mapping[str, nn.Linear],
    ) -> None:
        self.kept: frozenset[str] = frozenset()
        self.inputs: dict[str, Input] = {}
        self.rounded: dict[str, tuple[Tensor, Tensor]] = {}
        self.ranking: list[str] | None = None
        # Each until its map is rounded, which is done once: in a large encoder they are as large as its maps.
        self._hessians = {path: each.hessian for path, each in statistics.items()}
        linear_before = config.gated or config.activation == "relu"  # in what the division is folded into
        for leader, readers in readers_of(linears).items():
            smooth = None
            if not leader.endswith("attention.output"):  # its channels are even already
                smooth = _smoothing(statistics[leader], [linears[reader] for reader in readers])
            folded = leader.endswith("feed_forward.output") and linear_before
            shared = Input(leader, statistics[leader], smooth, folded)
            self.inputs.update(dict.fromkeys(readers, shared))

    def keeping(self, kept: Iterable[str]) -> Int8Form:
        """The same with other products in float32; what is rounded, and what is still to be, they share."""
        form = copy(self)
        form.kept = frozenset(kept)
        return form

    def encoder(self, model: SentenceEncoder) -> RowEncoder:
        """Rows, as `RowForm` has them, from smaller positions."""
        return Int8RowEncoder(model)

    def linear(self, path: str, linear: nn.Linear) -> nn.Module:
        """QuantizeLinear of the evened input, then com.microsoft.MatMulIntegerToFloat with the bias."""
        divide = None
        if path.endswith("inner"):
            after = self.inputs[path.removesuffix("inner") + "output"]
            divide = after.smooth if after.folded and after.leader not in self.kept else None
        source = self.inputs[path]
        if source.leader in self.kept:
            return float32_linear(linear if divide is None else _divided(linear, divide))
        if path not in self.rounded:
            weight = linear.weight.detach().T * source.smooth[:, None]  # (K, N)
            scales = column_scales(weight)
            evened = self._hessians.pop(path) / (source.smooth[:, None] * source.smooth)
            self.rounded[path] = (round_to_int8(weight, scales, evened).contiguous(), scales)
        return Int8Linear(linear, *self.rounded[path], source, divide)

    def table(self, table: Tensor) -> nn.Module:
        """Rows of int8, a scale per row."""
        return Int8Table(table)

    def expected_nodes(self, counts: Counts) -> Mapping[str, int]:
        """Four quantised inputs a layer, shared by query, key and value, and by gate and inner."""
        quantised, integer, float32 = 0, 0, 0
        for layer, again in counts.runs():
            for name, maps in counts.readers(again).items():
                if f"{layer}.{name}" in self.kept:
                    float32 += maps
                else:
                    quantised, integer = quantised + 1, integer + maps
        return {
            "QuantizeLinear": quantised,
            "MatMulIntegerToFloat": integer,
            "Gemm": float32,
            **fused_nodes(counts),
        }


def _smoothing(statistics: InputStatistics, readers: list[nn.Linear]) -> Tensor:
    inputs = torch.maximum(statistics.high.abs(), statistics.low.abs()).clamp(min=1e-5)
    weights = torch.stack([linear.weight.detach().abs().amax(0) for linear in readers]).amax(0)
    scale: Tensor = inputs**_ALPHA / weights.clamp(min=1e-5) ** (1 - _ALPHA)
    return scale / scale.mean()


def _divided(linear: nn.Linear, divide: Tensor) -> nn.Linear:
    """A map that gives each channel divided."""
    divided = nn.Linear(linear.in_features, linear.out_features, bias=linear.bias is not None)
    with torch.no_grad():
        divided.weight.copy_(linear.weight / divide[:, None])
        if linear.bias is not None:
            divided.bias.copy_(linear.bias / divide)
    return divided


class Input(nn.Module):
    """An input as unsigned bytes. The same object serves all that read it, and is traced once for them.

    Attributes:
        leader: The path of the first map that reads it.
        smooth: (K,), what its channels are divided by.
        folded: Whether they come divided already.
    """

    scale: Tensor
    zero: Tensor
    inverse: Tensor

    def __init__(self, leader: str, statistics: InputStatistics, smooth: Tensor | None, folded: bool) -> None:
        super().__init__()
        ones = torch.ones_like(statistics.high)
        self.leader = leader
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

    def rounded(self, x: Tensor) -> Tensor:
        """What the bytes stand for, on the scale of x. (n, K) -> (n, K)."""
        levels = (x / self.smooth / self.scale).round() + self.zero
        return (levels.clamp(0, 255) - self.zero) * self.scale * self.smooth


class Int8Linear(nn.Module):
    """A map of (K, N) integers with a scale for each output channel."""

    integers: Tensor
    scales: Tensor
    bias: Tensor | None

    def __init__(
        self, linear: nn.Linear, integers: Tensor, scales: Tensor, source: Input, divide: Tensor | None
    ) -> None:
        super().__init__()
        self.source = source
        self.register_buffer("integers", integers)
        self.register_buffer("scales", scales if divide is None else scales / divide)
        bias = None if linear.bias is None else linear.bias.detach()
        self.register_buffer("bias", bias if bias is None or divide is None else bias / divide)

    def forward(self, x: Tensor) -> Tensor:
        """(n, K) float32 -> (n, N) float32."""
        source = self.source
        operands = [source(x), self.integers, source.scale, self.scales, source.zero]
        return torch.onnx.ops.symbolic(
            "com.microsoft::MatMulIntegerToFloat",
            operands if self.bias is None else [*operands, None, self.bias],
            dtype=torch.float32,
            shape=(x.shape[0], self.integers.shape[1]),
            version=1,
        )

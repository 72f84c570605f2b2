"""The encoder in standard operators alone, with its mask inside: what every provider can take whole.

No operator is onnxruntime's own, no shape is computed but the length, and no constant is beyond float16.
Where a session fixes the axes and folds constants, nothing of shapes is left.
"""

from __future__ import annotations

from collections.abc import Mapping

import onnx
import torch
from torch import Tensor, nn

from sestina_export._forms.base import longest
from sestina_export._forms.counts import Counts
from sestina_export._forms.head import finish_masked, pool_masked, saturate
from sestina_export._forms.nodes import node
from sestina_export._forms.one_token import attentions
from sestina_export._forms.scores import HeadNorms
from sestina_export._forms.spelt_out import SpeltOutAttention, terms_of
from sestina_export._forms.token_results import token_masked
from sestina_model.attention import AttentionCore
from sestina_model.config import EncoderConfig
from sestina_model.sentence import SentenceEncoder, SentenceOutput

__all__ = ["MASKED", "MaskedEncoder", "PortableForm"]

MASKED = -10000.0  # added to the scores of padding: exp of it is 0, and float16 holds it


class PortableForm:
    """Linear maps as MatMul and Add, queries scaled by 1 / sqrt(K) beforehand, the table as it is."""

    masked = MASKED
    rewrites_weights = False

    def __init__(self, config: EncoderConfig) -> None:
        self._config = config
        self._longest = config.max_positions

    def scale_of(self, path: str) -> float:
        """What a map is multiplied by: queries come scaled, unless they are normed after it."""
        return self._config.scale if path.endswith(".query") and not self._config.query_key_norm else 1.0

    def encoder(self, model: SentenceEncoder) -> MaskedEncoder:
        """Linear maps between (B, S, width)."""
        self._longest = longest(model)
        return MaskedEncoder(model, self.masked)

    def linear(self, path: str, linear: nn.Linear) -> nn.Module:
        """A product whose weight lies in the graph as it is multiplied."""
        scale = self.scale_of(path)
        weight, bias = repeated(self._config, path, linear)
        return Product(weight.T * scale, None if bias is None else bias * scale)

    def table(self, table: Tensor) -> nn.Module:
        """A Gather that takes int32."""
        return _Rows(table)

    def finish(self, graph: onnx.ModelProto) -> None:
        """Nothing is left to write."""

    def part(self, module: nn.Module) -> nn.Module | None:
        """An RMSNorm in operators that every provider has."""
        return SpeltOutRmsNorm(module) if isinstance(module, nn.RMSNorm) else None

    def expected_nodes(self, counts: Counts) -> Mapping[str, int]:
        """Six products with weights and two of attention a layer; of shapes, only the length."""
        config, n = counts.config, counts.config.n_layers
        rotaries = [
            config.local_rotary if number in config.local_layers and config.local_rotary else config.rotary
            for number in range(n)
        ]
        tables = terms_of(counts, self._longest)
        cut = tables or config.rotary is not None
        norms = counts.norms()
        return {
            "MatMul": (8 + config.gated) * n + (config.d_embedding is not None),
            "Softmax": n,
            "Reshape": 4 * n + 2 * sum(rotary is not None and rotary.interleaved for rotary in rotaries),
            "Transpose": 4 * n + tables,
            "Shape": int(bool(cut or (config.has_position_table and config.positions != "counted"))),
            "CumSum": int(config.positions == "counted"),
            "Gemm": 0,
            "MultiHeadAttention": 0,
            "LayerNormalization": norms["LayerNormalization"],
            "ReduceMean": norms["RMSNormalization"],
        }


def repeated(config: EncoderConfig, path: str, linear: nn.Linear) -> tuple[Tensor, Tensor | None]:
    """Weight and bias of a map; of keys and values each head as often as queries read it."""
    weight, bias = linear.weight.detach(), None if linear.bias is None else linear.bias.detach()
    times = config.n_heads // config.kv_heads
    if times == 1 or not path.endswith((".key", ".value")):
        return weight, bias
    heads = weight.view(config.kv_heads, config.d_head, -1).repeat_interleave(times, 0).flatten(0, 1)
    if bias is not None:
        bias = bias.view(config.kv_heads, config.d_head).repeat_interleave(times, 0).flatten()
    return heads, bias


class SpeltOutRmsNorm(nn.Module):
    """`nn.RMSNorm` in operators that every provider has."""

    weight: Tensor

    def __init__(self, norm: nn.RMSNorm) -> None:
        super().__init__()
        self.eps = norm.eps or 0.0
        self.register_buffer("weight", norm.weight.detach())

    def forward(self, x: Tensor) -> Tensor:
        """(..., K) -> the same."""
        return x * ((x * x).mean(-1, keepdim=True) + self.eps).sqrt().reciprocal() * self.weight


class Product(nn.Module):
    """x W + b, of a weight (K, N) and a bias (N,) or None."""

    weight: Tensor
    bias: Tensor | None

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.register_buffer("weight", weight.contiguous())
        self.register_buffer("bias", bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, S, K) -> (B, S, N)."""
        x = x @ self.weight
        return x if self.bias is None else x + self.bias


class _Rows(nn.Module):
    table: Tensor

    def __init__(self, table: Tensor) -> None:
        super().__init__()
        self.register_buffer("table", table)

    def forward(self, ids: Tensor) -> Tensor:
        """(B, S) int32 -> (B, S, D)."""
        return node("Gather", (self.table, ids), (*ids.shape, self.table.shape[1]), axis=0)


class MaskedEncoder(nn.Module):
    """A sentence encoder that takes ids and mask as int32, its texts padded at the end to one length.

    A row must have a real token; the hidden states of padding hold no meaning.

    Args:
        model: In eval mode.
        masked: What is added to the scores of padding.
    """

    def __init__(self, model: SentenceEncoder, masked: float) -> None:
        super().__init__()
        self.model = model
        self.masked = masked
        self.core = SpeltOutAttention(attentions(model), longest(model), masked)

    @property
    def attention(self) -> AttentionCore:
        """In standard operators."""
        return self.core.forward

    @property
    def head_norms(self) -> HeadNorms:
        """Those of the core."""
        return self.core.head_norms

    def forward(
        self, ids: Tensor, mask: Tensor, pooled_from: Tensor | None = None, types: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        """(B, S) int32, 1 where a token is real, else 0, where prompts are left out (1,) int32, the first
        token that is pooled, and where texts have types (B, S) int32 -> vectors (B, d), hidden states
        (B, S, D), and what else there is of each token.
        """
        self.core.begin(ids)
        real = mask.to(torch.float32)
        added = (1.0 - real)[:, None, None, :] * self.masked  # (B, 1, 1, S)
        hidden = self.model.encoder.transform(self._embed(ids, types), added)
        if self.model.head.by_token:
            return SentenceOutput(finish_masked(self.model, hidden), hidden)
        if self.model.head.sparse:  # what is 0 in place of padding's logits becomes no weight
            logits = self.model.step(hidden) * real[:, :, None]
            return SentenceOutput(saturate(self.model, logits.amax(1)), hidden)
        pooled = pool_masked(
            hidden,
            real[:, :, None],
            self.model.head.pooling,
            self._places,
            pooled_from,
            self.masked,
        )
        return (finish_masked(self.model, pooled), hidden, *token_masked(self.model, hidden))

    def _embed(self, ids: Tensor, types: Tensor | None) -> Tensor:
        """As `TransformerEncoder.embed`; the end of the positions is a Shape, a constant once it is fixed."""
        encoder = self.model.encoder
        x: Tensor = encoder.tokens(ids)
        if encoder.config.positions == "counted":
            x = x + node("Gather", (encoder.positions, self._counted(ids)), x.shape, axis=0)
        elif encoder.config.has_position_table:
            x = x + self.core.cut(encoder.positions)
        if types is not None:
            rows = (*types.shape, x.shape[2])
            x = x + node("Gather", (encoder.token_types, types), rows, axis=0)
        return encoder.project(x)

    def _places(self) -> Tensor:
        """1, 2, 3, ... of as many tokens as texts have: (S, 1) float32."""
        most = longest(self.model)
        return self.core.cut(torch.arange(1, most + 1, dtype=torch.float32)[:, None])

    def _counted(self, ids: Tensor) -> Tensor:
        """As `counted_positions`, in int32 throughout. (B, S) -> (B, S).

        With operators that Core ML leaves to the CPU, like the Gather that follows: one that it took between
        them would be a partition of its own.
        """
        padding = ids == torch.tensor(self.model.encoder.config.pad_id, dtype=torch.int32)
        zero, one = (torch.tensor(value, dtype=torch.int32) for value in (0, 1))
        real = torch.where(padding, zero, one)
        summed = torch.onnx.ops.symbolic("CumSum", (real, one), dtype=torch.int32, shape=real.shape)
        return torch.where(padding, zero, summed)

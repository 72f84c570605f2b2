"""The encoder in standard operators alone, with its mask inside: what every provider can take whole.

No operator is onnxruntime's own, no shape is computed but the length, and no constant is beyond float16.
Where a session fixes the axes and folds constants, nothing of shapes is left.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import onnx
import torch
from torch import Tensor, nn

from sestina_model.config import EncoderConfig
from sestina_model.sentence import SentenceEncoder, SentenceOutput

__all__ = ["MASKED", "MaskedEncoder", "PortableForm"]

MASKED = -10000.0  # added to the scores of padding: exp of it is 0, and float16 holds it


class PortableForm:
    """Linear maps as MatMul and Add, queries scaled by 1 / sqrt(K) beforehand, the table as it is."""

    masked = MASKED
    rewrites_weights = False

    def __init__(self, config: EncoderConfig) -> None:
        self._query_scale = config.d_head**-0.5

    def encoder(self, model: SentenceEncoder) -> MaskedEncoder:
        """Linear maps between (B, S, width)."""
        return MaskedEncoder(model, self.masked)

    def linear(self, path: str, linear: nn.Linear) -> nn.Module:
        """A product whose weight lies in the graph as it is multiplied."""
        scale = self._query_scale if path.endswith(".query") else 1.0
        return Product(linear.weight.detach().T * scale, linear.bias.detach() * scale)

    def table(self, table: Tensor) -> nn.Module:
        """A Gather that takes int32."""
        return _Rows(table)

    def finish(self, graph: onnx.ModelProto) -> None:
        """Nothing is left to write."""

    def expected_nodes(self, config: EncoderConfig) -> Mapping[str, int]:
        """Six products with weights and two of attention a layer; of shapes, only the length."""
        n = config.n_layers
        return {
            "MatMul": 8 * n,
            "Softmax": n,
            "Reshape": 4 * n,
            "Transpose": 4 * n,
            "Shape": int(config.positions != "counted"),
            "CumSum": int(config.positions == "counted"),
            "Gemm": 0,
            "MultiHeadAttention": 0,
        }


class Product(nn.Module):
    """x W + b, of a weight (K, N) and a bias (N,)."""

    weight: Tensor
    bias: Tensor

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.register_buffer("weight", weight.contiguous())
        self.register_buffer("bias", bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, S, K) -> (B, S, N)."""
        return x @ self.weight + self.bias


class _Rows(nn.Module):
    table: Tensor

    def __init__(self, table: Tensor) -> None:
        super().__init__()
        self.register_buffer("table", table)

    def forward(self, ids: Tensor) -> Tensor:
        """(B, S) int32 -> (B, S, D)."""
        return _node("Gather", (self.table, ids), (*ids.shape, self.table.shape[1]), axis=0)


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

    def forward(self, ids: Tensor, mask: Tensor) -> SentenceOutput:
        """(B, S) int32, and 1 where a token is real, else 0 -> vectors (B, D), hidden states (B, S, D)."""
        real = mask.to(torch.float32)
        added = (1.0 - real)[:, None, None, :] * self.masked  # (B, 1, 1, S)
        hidden = self.model.encoder.transform(self._embed(ids), added)
        return SentenceOutput(self._finish(self._pool(hidden, real[:, :, None])), hidden)

    def _embed(self, ids: Tensor) -> Tensor:
        """As `TransformerEncoder.embed`; the end of the positions is a Shape, a constant once it is fixed."""
        encoder = self.model.encoder
        x: Tensor = encoder.tokens(ids)
        if encoder.config.positions == "counted":
            x = x + _node("Gather", (encoder.positions, self._counted(ids)), x.shape, axis=0)
        else:
            length = torch.onnx.ops.symbolic("Shape", (ids,), {"start": 1}, dtype=torch.int64, shape=(1,))
            zero = torch.zeros(1, dtype=torch.int64)
            x = x + _node("Slice", (encoder.positions, zero, length, zero), x.shape[1:])
        return x if encoder.embedding_norm is None else encoder.embedding_norm(x)

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

    def _pool(self, hidden: Tensor, real: Tensor) -> Tensor:
        """(B, S, D), (B, S, 1) -> (B, D). The mean is divided, then summed: no value grows with length."""
        pooling = self.model.head.pooling
        if pooling == "cls":
            return hidden[:, 0]
        if pooling == "max":
            return (hidden + (1.0 - real) * self.masked).amax(1)
        return (hidden * (real * real.sum(1, keepdim=True).reciprocal())).sum(1)

    def _finish(self, pooled: Tensor) -> Tensor:
        """L2 normalisation, where the head has it: Mul, ReduceSum, Sqrt, Reciprocal. (B, D) -> (B, D)."""
        if not self.model.head.normalize:
            return pooled
        return pooled * (pooled * pooled).sum(1, keepdim=True).sqrt().reciprocal()

    @staticmethod
    def attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, n_heads: int) -> Tensor:
        """softmax(Q K^T + mask) V in every head, of queries that are scaled. (B, S, D) -> (B, S, D)."""
        if mask is None:
            raise ValueError("this form always has a mask")
        batch, length, width = q.shape
        split = torch.tensor([0, 0, n_heads, width // n_heads])  # 0 keeps an axis as it is
        joined = torch.tensor([0, 0, width])
        heads = (batch, length, n_heads, width // n_heads)
        q, k, v = (_node("Reshape", (x, split), heads) for x in (q, k, v))
        weights = (q.transpose(1, 2) @ k.permute(0, 2, 3, 1) + mask).softmax(-1)  # (B, H, S, S)
        mixed = (weights @ v.transpose(1, 2)).transpose(1, 2)
        return _node("Reshape", (mixed, joined), (batch, length, width))  # from (B, S, H, K)


def _node(name: str, operands: tuple[Tensor, ...], shape: Sequence[int], **attributes: int) -> Tensor:
    """One float32 node of the standard operator set."""
    return torch.onnx.ops.symbolic(name, operands, {**attributes}, dtype=torch.float32, shape=shape)

"""How the head is written into a graph: pooling, the steps after it, normalisation and the cut.

Everything here is float32 in every form, and of one text alone: a vector does not depend on its neighbours in
the last bit, which onnxruntime's ReduceMean and its Gemm do not promise.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sestina_model.head_config import pooling_modes
from sestina_model.head_steps import EPSILON, Dense, Normalize
from sestina_model.sentence import SentenceEncoder, pool

__all__ = [
    "finish_masked",
    "finish_rows",
    "head_nodes_of",
    "pool_masked",
    "pool_rows",
    "product",
    "row_linear",
    "safe_norm",
    "saturate",
]

_PACKED = (nn.CELU, nn.ELU, nn.LogSigmoid, nn.Mish, nn.SELU, nn.Softplus)
_TOGETHER = 16  # a multiple of how many numbers any processor takes at once


# Of an activation: the operators that layers have too.
_OPERATORS = {
    "ReLU": "Relu", "GELU": "Gelu", "Sigmoid": "Sigmoid", "SiLU": "Sigmoid", "Tanh": "Tanh",
    "Tanhshrink": "Tanh", "Mish": "Tanh",
}  # fmt: skip


def head_nodes_of(model: SentenceEncoder) -> Counter[str]:
    """How often the steps after pooling have an operator that layers have too, written in rows."""
    found: Counter[str] = Counter()
    for step in model.head.steps:
        if step.kind == "dense":
            found["MatMul"] += 1
            found[_OPERATORS.get(step.activation, "")] += 1
        elif step.kind == "layer_norm":
            found["LayerNormalization"] += 1
    residuals = (
        step.residual for step in cast("Iterable[nn.Module]", model.steps) if isinstance(step, Dense)
    )
    found["MatMul"] += sum(residual is not None for residual in residuals)
    return found


def pool_rows(hidden: Tensor, pooling: str, pooled_from: Tensor | None) -> Tensor:
    """Of texts without padding. (B, S, D), and (1,) the first token that is pooled -> (B, n * D)."""
    pooled = [_pool_rows(hidden, mode, pooled_from) for mode in pooling_modes(pooling)]
    return pooled[0] if len(pooled) == 1 else torch.cat(pooled, 1)


def _pool_rows(hidden: Tensor, mode: str, pooled_from: Tensor | None) -> Tensor:
    """Sums over tokens are products with a row of weights."""
    length = hidden.shape[1]
    if mode == "mean" and pooled_from is None:
        return (hidden.new_ones(1, length) @ hidden).squeeze(1) / length
    places = torch.arange(length)
    behind = None if pooled_from is None else places >= pooled_from  # (S,)
    if mode == "cls":
        if pooled_from is None:
            return hidden[:, 0]
        first = torch.where(pooled_from < length, pooled_from, torch.zeros_like(pooled_from))
        return hidden.index_select(1, first)[:, 0]
    if mode == "lasttoken":
        last = hidden[:, -1]
        return last if behind is None else last * behind[-1:].to(torch.float32)
    if mode == "max":
        if behind is None:
            return pool(hidden, None, mode)
        highest = torch.where(behind[:, None], hidden, torch.tensor(torch.finfo(torch.float32).min)).amax(1)
        return torch.where(behind[-1:], highest, torch.zeros(1))
    weights = (places + 1).to(torch.float32)[None] if mode == "weightedmean" else torch.ones(1, length)
    if behind is not None:
        weights = weights * behind[None].to(torch.float32)
    count = weights.sum(1, keepdim=True).clamp(min=1)  # (1, 1)
    return (weights @ hidden).squeeze(1) / (count.sqrt() if mode == "mean_sqrt_len_tokens" else count)


def finish_rows(model: SentenceEncoder, pooled: Tensor) -> Tensor:
    """As `SentenceEncoder.finish`. (B, n * D) -> (B, d)."""
    return _finish(model, pooled, row_linear, Normalize())


def row_linear(linear: nn.Linear, x: Tensor) -> Tensor:
    """X W^T + b, each row a product of its own. (B, K) -> (B, N)."""
    operands = (linear.weight.detach(), x[:, :, None])
    shape = (x.shape[0], linear.out_features, 1)
    out = torch.onnx.ops.symbolic("MatMul", operands, dtype=torch.float32, shape=shape)[:, :, 0]
    return out if linear.bias is None else out + linear.bias.detach()


def pool_masked(
    hidden: Tensor,
    real: Tensor,
    pooling: str,
    places: Callable[[], Tensor],
    pooled_from: Tensor | None,
    masked: float,
) -> Tensor:
    """Of texts that stand at the start of their rows. Products are divided, then summed: no value grows.

    Args:
        hidden: (B, S, D).
        real: (B, S, 1), 1 where a token is real, else 0.
        pooling: As `HeadConfig` has it.
        places: Gives 1, 2, 3, ... as (S, 1) float32.
        pooled_from: (1,) int32, the first token that is pooled; None: 0.
        masked: What is added to states that are not to be the highest.

    Returns: (B, n * D).
    """
    behind = real
    if pooled_from is not None:
        behind = real * (places() > pooled_from.to(torch.float32)).to(torch.float32)
    pooled = [
        _pool_masked(hidden, real, mode, places, pooled_from, behind, masked)
        for mode in pooling_modes(pooling)
    ]
    return pooled[0] if len(pooled) == 1 else torch.cat(pooled, 1)


def _pool_masked(
    hidden: Tensor,
    real: Tensor,
    mode: str,
    places: Callable[[], Tensor],
    pooled_from: Tensor | None,
    behind: Tensor,
    masked: float,
) -> Tensor:
    """`behind` is 1 where a token is to be pooled, else 0. (B, S, D) -> (B, D)."""
    if mode == "cls":
        if pooled_from is None:
            return hidden[:, 0]
        start = pooled_from.to(torch.float32)  # where the text goes on behind it, else 0
        first = start * (real.sum(1, keepdim=True) > start).to(torch.float32) + 1.0
        return (hidden * (places() == first).to(torch.float32)).sum(1)
    if mode == "lasttoken":
        following = torch.cat((real[:, 1:], real[:, :1] * 0.0), 1)
        return (hidden * (behind * (1.0 - following))).sum(1)
    if mode == "max":
        highest = (hidden + (1.0 - behind) * masked).amax(1)
        return highest if pooled_from is None else highest * behind.amax(1)
    weights = behind * places() if mode == "weightedmean" else behind
    count = weights.sum(1, keepdim=True)
    if pooled_from is not None:
        count = count.clamp(min=1.0)
    if mode == "mean_sqrt_len_tokens":
        count = count.sqrt()
    return (hidden * (weights * count.reciprocal())).sum(1)


def finish_masked(model: SentenceEncoder, pooled: Tensor) -> Tensor:
    """The same in operators that every provider takes."""
    head = model.head
    plain = not head.steps and head.include_prompt
    return _finish(model, pooled, product, _norm if plain else safe_norm)


def product(linear: nn.Linear, x: Tensor) -> Tensor:
    """(B, K) -> (B, N), whose weight lies in the graph as it is multiplied."""
    out: Tensor = x @ linear.weight.detach().T.contiguous()
    return out if linear.bias is None else out + linear.bias.detach()


def _norm(x: Tensor) -> Tensor:
    """X / |x| by Mul, ReduceSum, Sqrt, Reciprocal."""
    return x * (x * x).sum(-1, keepdim=True).sqrt().reciprocal()


def safe_norm(x: Tensor) -> Tensor:
    """The same where x may be zero, as ReLU can make it: zero stays zero."""
    return x * (x * x).sum(-1, keepdim=True).sqrt().clamp(min=EPSILON).reciprocal()


def saturate(model: SentenceEncoder, logits: Tensor) -> Tensor:
    """As `SentenceEncoder.saturate`, each row as it is alone. (B, d) -> (B, d)."""
    width = logits.shape[1]
    return model.saturate(F.pad(logits, (0, -width % _TOGETHER)) if width % _TOGETHER else logits)[:, :width]


def _activated(activation: nn.Module, x: Tensor) -> Tensor:
    """(..., N) -> the same, each row as it is alone.

    onnxruntime computes some exponentials and logarithms eight numbers at a time, and what is left over in
    another way: rows are filled up for these.
    """
    if not isinstance(activation, _PACKED):
        out: Tensor = activation(x)
        return out
    width = x.shape[-1]
    x = F.pad(x, (0, -width % _TOGETHER)) if width % _TOGETHER else x
    if isinstance(
        activation, nn.LogSigmoid
    ):  # the exporter writes Log(Sigmoid(x)), which is -inf from -104 on
        x = -(-x).relu() - torch.log(1.0 + torch.exp(-x.abs()))
    else:
        x = activation(x)
    return x[..., :width]


def _finish(
    model: SentenceEncoder,
    x: Tensor,
    linear: Callable[[nn.Linear, Tensor], Tensor],
    normalise: Callable[[Tensor], Tensor],
) -> Tensor:
    for step in cast("Iterable[nn.Module]", model.steps):
        if isinstance(step, Dense):
            before, x = x, _activated(step.activation, linear(step.linear, x))
            if step.adds_input:
                x = x + (before if step.residual is None else linear(step.residual, before))
        elif isinstance(step, Normalize):
            x = normalise(x)
        else:
            x = step(x)
    if model.head.normalize:
        x = normalise(x)
    width = model.head.truncate_dim
    return x if width is None else x[:, :width]

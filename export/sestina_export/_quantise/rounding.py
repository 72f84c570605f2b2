"""Int8 arithmetic that is exact on every CPU: which integers stand for a weight matrix.

Weights are signed, one scale per output channel; activations are unsigned, one fixed scale per tensor.
x86 processors without VNNI multiply bytes in pairs with `vpmaddubsw`, whose 16-bit sums saturate. A pair
of adjacent weights whose positive parts sum to at most 128, and whose negative parts to at least -128,
cannot reach that bound with any activation: 255 * 128 < 2**15. Keeping pairs within it costs far less
precision than 7-bit weights do, since two large weights of one sign are seldom neighbours.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from sestina_export._errors import QualityError

__all__ = ["ANY_PAIR", "PAIR_LIMIT", "column_scales", "pairs_are_safe", "round_to_int8"]

PAIR_LIMIT = 128
ANY_PAIR = 2 * 127  # no limit
_BLOCK = 128  # columns whose rounding errors are passed on one by one before the rest is updated at once
_DAMPING = 0.01  # of the mean diagonal, added to the Hessian so that it can be inverted


def column_scales(weight: Tensor, pair_limit: int = PAIR_LIMIT) -> Tensor:
    """Smallest scale of each output channel that keeps single weights and pairs in range.

    Args:
        weight: (K, N) float, K inputs and N outputs.
        pair_limit: Of `round_to_int8`.

    Returns: (N,) float.
    """
    single = weight.abs().amax(0) / 127
    positive, negative = _pair_sums(weight)
    sums = torch.maximum(positive.amax(0), negative.amax(0))
    return torch.maximum(single, sums / pair_limit).clamp(min=torch.finfo(torch.float32).tiny * 256)


def pairs_are_safe(integers: Tensor) -> bool:
    """Whether no pair of adjacent weights of (K, N) int8 can saturate."""
    positive, negative = _pair_sums(integers.int())
    return bool((positive <= PAIR_LIMIT).all() and (negative <= PAIR_LIMIT).all())


def _pair_sums(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Of rows 2i and 2i + 1: the sums of their positive and of their negative parts, ((K + 1) // 2, N)."""
    even = F.pad(weight, (0, 0, 0, weight.shape[0] % 2))
    pairs = even.view(-1, 2, weight.shape[1])
    return pairs.clamp(min=0).sum(1), (-pairs).clamp(min=0).sum(1)


def round_to_int8(weight: Tensor, scales: Tensor, hessian: Tensor, pair_limit: int = PAIR_LIMIT) -> Tensor:
    """Integers whose products with real inputs are closest, not those closest to the weights.

    Each input's rounding error is passed on to the inputs not yet rounded, as far as they are correlated
    (GPTQ, Frantar et al. 2023, section 3.3), in blocks.

    Args:
        weight: (K, N) float32.
        scales: (N,) from `column_scales`.
        hessian: (K, K), the sum of x x^T over inputs x.
        pair_limit: What the parts of one sign of a pair may sum to; `ANY_PAIR` where nothing saturates.

    Returns: (K, N) int8 with safe pairs.

    Raises:
        QualityError: Where the inputs are of sizes so different that float64 cannot tell them apart.
    """
    k = weight.shape[0]
    damped = hessian.double() + torch.eye(k, dtype=torch.float64) * (
        _DAMPING * hessian.diagonal().double().mean() + 1e-12
    )
    try:
        inverse = torch.cholesky_inverse(torch.linalg.cholesky(damped))
        upper = torch.linalg.cholesky(inverse, upper=True).float()
    except torch.linalg.LinAlgError:  # type: ignore[attr-defined]
        raise QualityError(
            "int8: the inputs of a layer on the calibration texts are of sizes too different to round for: "
            "check the weights, or leave this precision out"
        ) from None
    left = (weight / scales).clone()  # in units of the scale
    integers = torch.zeros_like(left)
    for begin in range(0, k, _BLOCK):
        end = min(begin + _BLOCK, k)
        block, errors = left[begin:end], torch.zeros(end - begin, weight.shape[1])
        for at in range(end - begin):
            row = begin + at
            low, high = torch.full_like(scales, -127.0), torch.full_like(scales, 127.0)
            if row % 2:  # the second of a pair keeps it safe
                low = torch.maximum(low, -pair_limit - integers[row - 1].clamp(max=0))
                high = torch.minimum(high, pair_limit - integers[row - 1].clamp(min=0))
            integers[row] = torch.minimum(torch.maximum(block[at].round(), low), high)
            errors[at] = (block[at] - integers[row]) / upper[row, row]
            block[at:] -= upper[row, row:end, None] * errors[at]
        left[end:] -= upper[begin:end, end:].T @ errors
    return integers.to(torch.int8)

"""The decoder of a sparse head in pieces: the highest of some thousand logits at a time, not of all at once.

The logits of 512 tokens are 60 MB for a vocabulary of 30,000. A piece of them stays in the caches until its
maxima are taken, which is up to a third faster and needs a fraction of the memory.
"""

from __future__ import annotations

from copy import copy
from typing import cast

import torch
from torch import Tensor, nn

from sestina._schedule.budget import PIECE
from sestina_export._forms.nodes import Gemm, node

__all__ = ["InPieces", "highest"]


class InPieces(nn.Module):
    """A linear map, as a form has made it, as several that follow one another.

    Args:
        linear: With a weight of (N, K), or integers of (K, N).
        width: N.
    """

    def __init__(self, linear: nn.Module, width: int) -> None:
        super().__init__()
        ends = range(0, width, PIECE)
        self.pieces = nn.ModuleList(_columns(linear, slice(begin, begin + PIECE)) for begin in ends)


def highest(steps: nn.ModuleList, rows: Tensor, ids: Tensor) -> Tensor:
    """The highest logits of each text, of states (B * S, D) and the ids (B, S) that they are of -> (B, N)."""
    for step in steps[:-1]:
        rows = step(rows)
    pieces = cast("InPieces", steps[-1].linear).pieces
    sizes = node("Shape", (ids,), (2,), dtype=torch.int64)
    shape = node("Concat", (sizes, torch.tensor([-1])), (3,), dtype=torch.int64, axis=0)
    found = []
    for piece in pieces:
        logits = piece(rows)
        found.append(node("Reshape", (logits, shape), (*ids.shape, logits.shape[1])).amax(1))
    return found[0] if len(found) == 1 else torch.cat(found, 1)


def _columns(linear: nn.Module, some: slice) -> nn.Module:
    """A map that gives some of the numbers of another."""
    if isinstance(linear, nn.Linear | Gemm):
        weight, bias = linear.weight.detach()[some], getattr(linear, "bias", None)
        piece = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None, device="meta")
        piece.weight = nn.Parameter(weight.contiguous(), requires_grad=False)
        if bias is None:
            return Gemm(piece)
        piece.bias = nn.Parameter(bias.detach()[some].contiguous(), requires_grad=False)
        return piece
    part = copy(linear)
    part._buffers = dict(linear._buffers)
    for name, axis in (("integers", 1), ("scales", 0), ("bias", 0)):
        whole = linear._buffers[name]
        if whole is not None:
            part._buffers[name] = (whole[:, some] if axis else whole[some]).contiguous()
    return part

"""Where a student starts: from a draw, from its teacher's layers, or from where another run has come to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from sestina_model._errors import ConfigError
from sestina_model.checkpoint import load
from sestina_model.config import EncoderConfig
from sestina_model.encoder import TransformerEncoder

__all__ = ["Start", "continued", "fitted_projections", "fitted_turn"]

_RIDGE = 1e-3  # of the mean square of a dimension


class Start(NamedTuple):
    """A student before its first step.

    Attributes:
        encoder: Its weights.
        projections: For each layer, (T, D), what takes its states to the teacher's; None: a draw.
    """

    encoder: TransformerEncoder
    projections: Sequence[Tensor] | None


def continued(folder: str, config: EncoderConfig) -> TransformerEncoder:
    """The encoder of a checkpoint.

    Raises:
        ConfigError: Where it is not of this configuration.
        CheckpointError: Where it cannot be read.
    """
    encoder = load(folder).model.encoder
    differing = [
        f"{name} {theirs!r} where the run has {config.to_dict()[name]!r}"
        for name, theirs in encoder.config.to_dict().items()
        if theirs != config.to_dict()[name]
    ]
    if differing:
        raise ConfigError(f"warm_start names {folder}, which has {'; '.join(differing)}: start from another")
    return encoder


def fitted_turn(pairs: Iterable[tuple[Tensor, Tensor]]) -> Tensor:
    """The turn of a teacher's space that brings it closest to a student's (Procrustes).

    Of a wider teacher it is the D dimensions that hold most of its vectors which are turned: what a student
    of D dimensions can keep of them.

    Args:
        pairs: Of batches, the student's vectors (B, D) and the teacher's (B, T); the longer they are, the
            more they count.

    Returns: (T, D) with orthonormal rows, or columns where T is above D, as a projection of the student's
        space.
    """
    product, square = torch.zeros(()), torch.zeros(())
    for mine, theirs in pairs:
        x, y = mine.detach().cpu().double(), theirs.detach().cpu().double()
        product, square = product + y.T @ x, square + y.T @ y
    most = torch.linalg.eigh(square).eigenvectors[:, -product.shape[1] :]
    u, _, v = torch.linalg.svd(most.T @ product, full_matrices=False)
    turn: Tensor = (most @ u @ v).float()
    return turn


def fitted_projections(pairs: Iterable[tuple[Sequence[Tensor], Sequence[Tensor]]]) -> list[Tensor]:
    """The projections that bring a student's states closest to its teacher's, by ridge regression.

    Args:
        pairs: Of batches, for each layer the student's states (n, D) and the teacher's (n, T).

    Returns: for each layer, (T, D).
    """
    squares: list[Tensor] = []
    products: list[Tensor] = []
    for mine, theirs in pairs:
        for number, (x, y) in enumerate(zip(mine, theirs, strict=True)):
            if number == len(squares):
                squares.append(torch.zeros(x.shape[1], x.shape[1], dtype=torch.float64))
                products.append(torch.zeros(x.shape[1], y.shape[1], dtype=torch.float64))
            wide, goal = x.detach().cpu().double(), y.detach().cpu().double()
            squares[number] += wide.T @ wide
            products[number] += wide.T @ goal
    return [
        torch.linalg.solve(square + _RIDGE * square.diagonal().mean() * torch.eye(len(square)), product)
        .T.float()
        .contiguous()
        for square, product in zip(squares, products, strict=True)
    ]

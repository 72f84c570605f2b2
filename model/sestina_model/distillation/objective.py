"""What is minimised: the angles to the teacher's vectors and states, and how a batch's texts relate."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sestina_model.distillation.teacher import Lesson

__all__ = ["Losses", "Objective", "Weights"]

_NEAR = 0.5  # of a cosine: pairs above it are near


class Losses(NamedTuple):
    """Of one batch, each a scalar."""

    total: Tensor
    cosine: Tensor
    similarity: Tensor
    near: Tensor
    token: Tensor
    layer: Tensor


class Weights(NamedTuple):
    """How much each part counts; see `DistillationConfig`."""

    cosine: float
    similarity: float
    near: float
    token: float
    layer: float


class Objective(nn.Module):
    """Compares a student, (B, D) vectors and (n, D) states, with its teacher's T dimensions.

    The projections D -> T, one for each layer, are for training alone: they free the student to turn its
    space as it likes. The similarity term holds the student's own space, the one that is used, to the
    teacher's geometry. A vector teaches one direction a text, the states of its tokens teach many, and reach
    the lower layers, which the vector alone teaches slowly (TinyBERT, Jiao et al. 2020).

    Args:
        d_student, d_teacher: D and T.
        n_layers: Of the student. The last projection is that of the vectors too.
        weights: Of the terms.
    """

    def __init__(self, d_student: int, d_teacher: int, n_layers: int, weights: Weights) -> None:
        super().__init__()
        self.projections = nn.ModuleList(nn.Linear(d_student, d_teacher, bias=False) for _ in range(n_layers))
        self.weights = weights

    @torch.no_grad()
    def start_from(self, projections: Iterable[Tensor]) -> None:
        """Replace the draws, layer by layer, by these of (T, D)."""
        for mine, given in zip(self.projections, projections, strict=False):
            cast("nn.Linear", mine).weight.copy_(given)

    def forward(self, vectors: Tensor, states: Sequence[Tensor], lesson: Lesson) -> Losses:
        """Student's vectors (B, D) and, for each layer, its states at `lesson.places` (n, D) -> scalars."""
        zero = vectors.new_zeros(())
        weights = self.weights
        cosine = 1.0 - F.cosine_similarity(self.projections[-1](vectors), lesson.vectors, dim=-1).mean()
        similarity, near = _relations(vectors, lesson.vectors)
        compared = len(lesson.places) > 0
        token = self._angle(-1, states, lesson) if compared and weights.token else zero
        layer = zero
        if compared and weights.layer:
            inner = range(len(self.projections) - 1)
            layer = sum((self._angle(number, states, lesson) for number in inner), zero)
        total = (
            weights.cosine * cosine
            + weights.similarity * similarity
            + weights.near * near
            + weights.token * token
            + weights.layer * layer
        )
        return Losses(total, cosine, similarity, near, token, layer)

    def _angle(self, number: int, states: Sequence[Tensor], lesson: Lesson) -> Tensor:
        """1 - cosine of states, centred: what all dimensions of a state share, the next LayerNorm removes."""
        mine, theirs = self.projections[number](states[number]), lesson.states[number]
        return 1.0 - F.cosine_similarity(_centred(mine), _centred(theirs), dim=-1).mean()


def _centred(rows: Tensor) -> Tensor:
    return rows - rows.mean(-1, keepdim=True)


def _relations(student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    """Mean squared difference between the cosines of pairs of a batch, (B, D) and (B, T).

    Returns: That of all pairs, and that of the pairs which the teacher holds near.
    """
    goal = _similarities(teacher)
    squares = (_similarities(student) - goal).square()
    near = goal > _NEAR
    every = squares.sum() / max(1, len(student) * (len(student) - 1))
    return every, (squares * near).sum() / near.sum().clamp(min=1)


def _similarities(vectors: Tensor) -> Tensor:
    """Cosines of all pairs, (B, d) -> (B, B). The diagonal is 1 whatever the vectors, so it costs nothing."""
    units = F.normalize(vectors.float(), dim=-1)
    similar: Tensor = units @ units.T
    return similar - torch.diag_embed(torch.diagonal(similar))

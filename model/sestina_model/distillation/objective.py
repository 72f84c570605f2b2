"""What is minimised: the angles to the teacher's vectors and states, and how texts relate to others."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sestina_model.distillation.arithmetic import fast_products
from sestina_model.distillation.teacher import Lesson

__all__ = ["Losses", "Objective", "Weights"]

_NEAR = 0.5  # of a cosine: pairs above it are near
_NEVER = -1e4  # the logit of what has no share


class Losses(NamedTuple):
    """Of one batch, each a scalar."""

    total: Tensor
    cosine: Tensor
    similarity: Tensor
    near: Tensor
    token: Tensor
    layer: Tensor
    bank: Tensor


class Weights(NamedTuple):
    """How much each part counts; see `DistillationConfig`."""

    cosine: float
    similarity: float
    near: float
    token: float
    layer: float
    bank: float = 0.0
    temperature: float = 0.05  # of the bank's similarities


class Objective(nn.Module):
    """Compares a student, (B, D) vectors and (n, D) states, with its teacher's T dimensions.

    The projections D -> T, one for each layer, are for training alone: they free the student to turn its
    space as it likes, unless `hold` makes the last one a turn that stays. The similarity term holds the
    student's own space, the one that is used, to the teacher's geometry. A vector teaches one direction a
    text, the states of its tokens teach many, and reach the lower layers, which the vector alone teaches
    slowly (TinyBERT, Jiao et al. 2020).

    Args:
        d_student, d_teacher: D and T.
        n_layers: Of the student. The last projection is that of the vectors too.
        weights: Of the terms.
    """

    def __init__(self, d_student: int, d_teacher: int, n_layers: int, weights: Weights) -> None:
        super().__init__()
        self.projections = nn.ModuleList(nn.Linear(d_student, d_teacher, bias=False) for _ in range(n_layers))
        self.weights = weights
        self._held = False

    @torch.no_grad()
    def start_from(self, projections: Iterable[Tensor]) -> None:
        """Replace the draws, layer by layer, by these of (T, D)."""
        for mine, given in zip(self.projections, projections, strict=False):
            cast("nn.Linear", mine).weight.copy_(given)

    def hold(self, turn: Tensor | None = None) -> None:
        """Let no step change the last projection; make it this (T, D) of `fitted_turn`, where given.

        What is then near to the teacher's vector is so in the student's own space, which is the one that is
        used; and a bank of the teacher's vectors can be read in it.
        """
        last = cast("nn.Linear", self.projections[-1])
        if turn is not None:
            with torch.no_grad():
                last.weight.copy_(turn)
        last.weight.requires_grad_(False)
        self._held = True

    def forward(self, vectors: Tensor, states: Sequence[Tensor], lesson: Lesson) -> Losses:
        """Student's vectors (B, D) and, for each layer, its states at `lesson.places` (n, D) -> scalars."""
        zero = vectors.new_zeros(())
        weights = self.weights
        projected = self.projections[-1](vectors)
        # Held to a turn, the student's own length counts: what lies outside the teacher's dimensions is lost.
        length = (vectors if self._held else projected).norm(dim=-1, keepdim=True).clamp(min=1e-8)
        projected = projected / length
        cosine = 1.0 - (projected * F.normalize(lesson.vectors, dim=-1)).sum(-1).mean()
        similarity, near = _relations(vectors, lesson.vectors)
        compared = len(lesson.places) > 0
        token = self._angle(-1, states, lesson) if compared and weights.token else zero
        layer = zero
        if compared and weights.layer:
            inner = range(len(self.projections) - 1)
            layer = sum((self._angle(number, states, lesson) for number in inner), zero)
        bank = zero
        if lesson.bank is not None and weights.bank:
            bank = _divergence(projected, lesson, lesson.bank, weights.temperature)
        total = (
            weights.cosine * cosine
            + weights.similarity * similarity
            + weights.near * near
            + weights.token * token
            + weights.layer * layer
            + weights.bank * bank
        )
        return Losses(total, cosine, similarity, near, token, layer, bank)

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


def _divergence(projected: Tensor, lesson: Lesson, bank: Tensor, temperature: float) -> Tensor:
    """How the student spreads each text's likeness over the bank, against how the teacher does: KL, a scalar.

    The student's vectors are (B, T), the bank (N, T); a softmax over the cosines, divided by the temperature,
    says which of the bank are nearest, and hardly cares about the others: what a search asks.
    """
    bank = F.normalize(bank, dim=-1)
    # A GPU has products nearly as fast that keep what nearness hangs on; a rounded 0.9 may be 0.004 off.
    with nullcontext() if projected.is_cuda else fast_products(projected.device):
        mine, goal = projected @ bank.T, F.normalize(lesson.vectors, dim=-1) @ bank.T
    mine, goal = mine.float() / temperature, goal.float() / temperature
    if lesson.own is not None:  # nothing is as near to a text as itself, and it would be all that counts
        mine, goal = mine.masked_fill(lesson.own, _NEVER), goal.masked_fill(lesson.own, _NEVER)
    log_goal = goal.log_softmax(-1)
    divergence: Tensor = log_goal.exp() * (log_goal - mine.log_softmax(-1))
    return divergence.sum(-1).mean()


def _similarities(vectors: Tensor) -> Tensor:
    """Cosines of all pairs, (B, d) -> (B, B). The diagonal is 1 whatever the vectors, so it costs nothing."""
    units = F.normalize(vectors.float(), dim=-1)
    similar: Tensor = units @ units.T
    return similar - torch.diag_embed(torch.diagonal(similar))

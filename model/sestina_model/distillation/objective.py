"""What is minimised: the angle to the teacher's vector, and the difference in how a batch's texts relate."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["Losses", "Objective"]


class Losses(NamedTuple):
    """Of one batch, each a scalar."""

    total: Tensor
    cosine: Tensor
    similarity: Tensor


class Objective(nn.Module):
    """Compares student vectors (B, D) with teacher vectors (B, T).

    The projection D -> T is for training alone: it frees the student to turn its space as it likes, and the
    similarity term holds the student's own space, the one that is used, to the teacher's geometry.

    Args:
        d_student, d_teacher: D and T.
        cosine_weight, similarity_weight: Of the two terms.
    """

    def __init__(
        self, d_student: int, d_teacher: int, *, cosine_weight: float, similarity_weight: float
    ) -> None:
        super().__init__()
        self.projection = nn.Linear(d_student, d_teacher, bias=False)
        self.cosine_weight, self.similarity_weight = cosine_weight, similarity_weight

    def forward(self, student: Tensor, teacher: Tensor) -> Losses:
        """(B, D), (B, T) -> three scalars."""
        cosine = 1.0 - F.cosine_similarity(self.projection(student), teacher, dim=-1).mean()
        similarity = (_similarities(student) - _similarities(teacher)).square().sum()
        pairs = len(student) * (len(student) - 1)
        similarity = similarity / max(1, pairs)
        total = self.cosine_weight * cosine + self.similarity_weight * similarity
        return Losses(total, cosine, similarity)


def _similarities(vectors: Tensor) -> Tensor:
    """Cosines of all pairs, (B, d) -> (B, B). The diagonal is 1 whatever the vectors, so it costs nothing."""
    units = F.normalize(vectors.float(), dim=-1)
    similar: Tensor = units @ units.T
    return similar - torch.diag_embed(torch.diagonal(similar))

"""Whether a contender computes what the checkpoint computes: one that does not is not worth timing."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sestina._bench.results import Agreement

Vectors = npt.NDArray[np.float32]

# The lowest cosine to PyTorch's vector that any text may have. fp32 differs by rounding alone; reduced
# precisions lose what is theirs to lose, and what they lost is printed beside their times.
_FULL, _REDUCED = 0.99999, 0.9


def compare(vectors: Vectors, reference: Vectors) -> Agreement | None:
    """Measure the agreement of (n, d) vectors with the reference; None where the shapes differ."""
    if vectors.shape != reference.shape:
        return None
    norms = np.linalg.norm(vectors, axis=1) * np.linalg.norm(reference, axis=1)
    both_zero = ~vectors.any(axis=1) & ~reference.any(axis=1)
    products = np.einsum("nd,nd->n", vectors.astype(np.float64), reference.astype(np.float64))
    with np.errstate(invalid="ignore", divide="ignore"):
        cosines = np.where(both_zero, 1.0, products / norms)
    cosines = np.nan_to_num(cosines, nan=-1.0)
    return Agreement(
        mean_cosine=float(cosines.mean()),
        worst_cosine=float(cosines.min()),
        worst_difference=float(np.nan_to_num(np.abs(vectors - reference), nan=np.inf).max()),
        texts=len(vectors),
    )


def objection(agreement: Agreement | None, precision: str) -> str | None:
    """Why vectors cannot pass for those of the checkpoint; None where they can."""
    if agreement is None:
        return "its vectors have another shape than PyTorch's"
    allowed = _FULL if precision == "fp32" else _REDUCED
    if agreement.worst_cosine >= allowed:
        return None
    return (
        f"its vectors differ from PyTorch's: worst cosine {agreement.worst_cosine:.5f} over "
        f"{agreement.texts} texts, at least {allowed} is allowed in {precision}"
    )

"""The figures themselves: Spearman's correlation, nDCG at 10 and accuracy, from arrays alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

__all__ = ["accuracy", "cosines", "ndcg_at_10", "ranks", "spearman", "unit_rows"]

Floats = npt.NDArray[np.float64]


def unit_rows(vectors: npt.NDArray[np.floating]) -> Floats:
    """Rows divided by their L2 norm, in float64; a zero row stays zero."""
    wide = vectors.astype(np.float64)
    norms = np.linalg.norm(wide, axis=1, keepdims=True)
    units: Floats = wide / np.where(norms > 0, norms, 1.0)
    return units


def cosines(left: npt.NDArray[np.floating], right: npt.NDArray[np.floating]) -> Floats:
    """The cosine of each row with the row beside it. (n, d), (n, d) -> (n,)."""
    similar: Floats = (unit_rows(left) * unit_rows(right)).sum(1)
    return similar


def ranks(values: npt.NDArray[np.floating]) -> Floats:
    """1 for the smallest; equal values share the average of their ranks."""
    _, group, count = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(count)
    average: Floats = (last - (count - 1) / 2.0)[group]
    return average


def spearman(left: npt.NDArray[np.floating], right: npt.NDArray[np.floating]) -> float:
    """Spearman's rank correlation: Pearson's, of ranks. 0 where either side is constant."""
    a, b = ranks(left), ranks(right)
    a, b = a - a.mean(), b - b.mean()
    size = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / size if size > 0 else 0.0


def ndcg_at_10(ranked: Sequence[str], gains: Mapping[str, float]) -> float:
    """NDCG at 10 of one query with linear gain, as trec_eval and BEIR have it; 0 where nothing is relevant.

    Args:
        ranked: Document ids, best first.
        gains: The judged documents and how relevant each is. What is not judged gains nothing.
    """

    def discounted(values: Sequence[float]) -> float:
        return sum(value / float(np.log2(place + 2)) for place, value in enumerate(values))

    best = discounted(sorted((gain for gain in gains.values() if gain > 0), reverse=True)[:10])
    found = discounted([max(0.0, gains.get(document, 0.0)) for document in ranked[:10]])
    return found / best if best > 0 else 0.0


def accuracy(predicted: npt.NDArray[np.integer], gold: npt.NDArray[np.integer]) -> float:
    """The share of equal entries."""
    return float((predicted == gold).mean())

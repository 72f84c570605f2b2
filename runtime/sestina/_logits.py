"""What becomes of logits: scores and probabilities, each row by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from sestina._arrays import Vectors


def activated(logits: Vectors, activation: str) -> Vectors:
    """(n, labels) float32 logits as a bundle's contract says; computed in float64, so that nothing overflows.

    Args:
        logits: Finite.
        activation: "identity", "sigmoid", "softmax" over the labels of a row, or "tanh".
    """
    if activation == "identity":
        return logits
    wide: npt.NDArray[np.float64] = logits.astype(np.float64)
    if activation == "tanh":
        wide = np.tanh(wide)
    elif activation == "softmax":
        raised = np.exp(wide - wide.max(axis=-1, keepdims=True))
        wide = raised / raised.sum(axis=-1, keepdims=True)
    else:
        small = np.exp(-np.abs(wide))  # never more than 1
        wide = np.where(wide < 0, small / (1 + small), 1 / (1 + small))
    return wide.astype(np.float32)

"""Multinomial logistic regression by L-BFGS: the usual probe of what vectors say about a label."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["LogisticRegression"]


class LogisticRegression:
    """Minimises 0.5 |W|^2 + `strength` times the summed cross-entropy, as scikit-learn does; float64.

    Args:
        vectors: (n, d).
        labels: (n,) class numbers from 0.
        strength: How much the texts weigh against the penalty (scikit-learn's C). The bias is free.
        max_iterations: L-BFGS steps at most.
    """

    def __init__(
        self,
        vectors: npt.NDArray[np.floating],
        labels: npt.NDArray[np.integer],
        *,
        strength: float = 1.0,
        max_iterations: int = 100,
    ) -> None:
        x, y = torch.from_numpy(vectors.astype(np.float64)), torch.from_numpy(labels.astype(np.int64))
        n_classes = int(labels.max()) + 1
        self.weight = torch.zeros(n_classes, x.shape[1], dtype=torch.float64, requires_grad=True)
        self.bias = torch.zeros(n_classes, dtype=torch.float64, requires_grad=True)
        # The mean rather than the sum of the objective: its gradients suit L-BFGS's first step.
        optimiser = torch.optim.LBFGS(
            [self.weight, self.bias],
            max_iter=max_iterations,
            tolerance_grad=1e-7,
            tolerance_change=1e-10,
            line_search_fn="strong_wolfe",
        )

        def objective() -> Tensor:
            optimiser.zero_grad()
            penalty = 0.5 * self.weight.square().sum() / (strength * len(y))
            loss: Tensor = F.cross_entropy(F.linear(x, self.weight, self.bias), y) + penalty
            loss.backward()  # type: ignore[no-untyped-call]
            return loss

        optimiser.step(objective)  # type: ignore[no-untyped-call]

    def predict(self, vectors: npt.NDArray[np.floating]) -> npt.NDArray[np.int64]:
        """The likeliest class of each row. (n, d) -> (n,)."""
        with torch.no_grad():
            scores = F.linear(torch.from_numpy(vectors.astype(np.float64)), self.weight, self.bias)
            best: npt.NDArray[np.int64] = scores.argmax(1).numpy()
        return best

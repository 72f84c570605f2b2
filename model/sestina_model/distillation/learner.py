"""One step of learning: a batch of equal lengths in, weights a little better."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from sestina_model.distillation.config import DistillationConfig
from sestina_model.distillation.objective import Objective
from sestina_model.distillation.optimiser import named_weights, new_optimiser, rate
from sestina_model.distillation.warm_start import WarmStart
from sestina_model.encoder import TransformerEncoder

__all__ = ["Learner"]


class Learner:
    """Holds the encoder, the objective and the optimiser on a device.

    Args:
        start: What is trained, with the projection to begin with where there is one. Its dropout is the
            configuration's while it learns.
        d_teacher: Width of the teacher's vectors.
        config: The run.
        device: torch's name. On "cuda" products are in bfloat16, weights and everything else in float32.
    """

    def __init__(
        self, start: TransformerEncoder | WarmStart, d_teacher: int, config: DistillationConfig, device: str
    ) -> None:
        encoder = start.encoder if isinstance(start, WarmStart) else start
        self._config, self._device = config, torch.device(device)
        objective = Objective(
            encoder.config.d_model,
            d_teacher,
            cosine_weight=config.cosine_weight,
            similarity_weight=config.similarity_weight,
        )
        if isinstance(start, WarmStart):
            with torch.no_grad():
                objective.projection.weight.copy_(start.projection)
        self.encoder = encoder.to(self._device)
        self._objective = objective.to(self._device)
        for module in self.encoder.modules():
            if isinstance(module, nn.Dropout):
                module.p = config.dropout
        self.weights: dict[str, Tensor] = named_weights(self.encoder, self._objective)
        self.optimiser = new_optimiser(self.weights, config)
        self._seen: list[Tensor] = []  # since the last report: loss, cosine, similarity, gradient norm
        self._rate = 0.0

    def learn(
        self, ids: Sequence[npt.NDArray[np.integer]], targets: npt.NDArray[np.floating], tokens: int
    ) -> int:
        """One step on texts of one length and the teacher's vectors of them. Returns: tokens read."""
        batch = torch.from_numpy(np.stack(ids).astype(np.int64)).to(self._device)
        goal = torch.from_numpy(targets.astype(np.float32)).to(self._device)
        self._rate = rate(tokens, self._config)
        for group in self.optimiser.param_groups:
            group["lr"] = self._rate
        self.encoder.train()
        with torch.autocast("cuda", torch.bfloat16, enabled=self._device.type == "cuda"):
            pooled = self.encoder(batch).mean(1)  # (B, S, D) -> (B, D)
        losses = self._objective(pooled.float(), goal)
        self.optimiser.zero_grad(set_to_none=True)
        losses.total.backward()
        norm = nn.utils.clip_grad_norm_(self.weights.values(), self._config.clip)
        self.optimiser.step()
        # Kept as tensors: reading a number would make the CPU wait for the GPU at every step.
        self._seen.append(torch.stack([*(loss.detach() for loss in losses), norm]))
        return batch.numel()

    def averages(self) -> dict[str, float]:
        """Means since the last call."""
        names = ("loss", "cosine", "similarity", "gradient_norm")
        means = torch.stack(self._seen).mean(0).tolist() if self._seen else [0.0] * len(names)
        self._seen.clear()
        return {name: round(value, 5) for name, value in zip(names, means, strict=True)} | {
            "learning_rate": self._rate
        }

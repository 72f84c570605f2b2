"""AdamW over named weights, and a learning rate that follows the tokens read."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from sestina_model.distillation.config import DistillationConfig

__all__ = ["named_weights", "new_optimiser", "rate"]

_BETAS = (0.9, 0.98)  # as in section 5.3 of Vaswani et al. 2017


def rate(tokens: int, config: DistillationConfig) -> float:
    """The learning rate after so many tokens: a linear warm-up, then a cosine down to its final share."""
    done = tokens / config.tokens
    if done < config.warm_up:
        return config.learning_rate * max(done / config.warm_up, 0.01)
    along = min(1.0, (done - config.warm_up) / max(1e-9, 1.0 - config.warm_up))
    share = config.final_rate + (1.0 - config.final_rate) * 0.5 * (1.0 + math.cos(math.pi * along))
    return config.learning_rate * share


def named_weights(encoder: nn.Module, objective: nn.Module) -> dict[str, Tensor]:
    """Everything that is trained, by the names a saved state has."""
    return {
        **{f"encoder.{name}": weight for name, weight in encoder.named_parameters()},
        **{f"objective.{name}": weight for name, weight in objective.named_parameters()},
    }


def new_optimiser(weights: dict[str, Tensor], config: DistillationConfig) -> torch.optim.AdamW:
    """AdamW that decays the matrices of the layers: not gains, biases and the token table.

    A row of the table whose token is rare would otherwise shrink between its few gradients.
    """
    decayed = [
        weight for name, weight in weights.items() if weight.dim() == 2 and name != "encoder.tokens.weight"
    ]
    others = [
        weight for name, weight in weights.items() if weight.dim() != 2 or name == "encoder.tokens.weight"
    ]
    groups = [
        {"params": decayed, "weight_decay": config.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=_BETAS, eps=1e-8, fused=True)

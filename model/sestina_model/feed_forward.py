"""The position-wise feed-forward network (Vaswani et al. 2017, section 3.3), gated or not (Shazeer 2020)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sestina_model.choices import Activation
from sestina_model.config import EncoderConfig

__all__ = ["ACTIVATIONS", "FeedForward", "Function"]


class Function(nn.Module):
    """A function of each number alone, as a module."""

    def __init__(self, name: str, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.name = name
        self._function = function

    def forward(self, x: Tensor) -> Tensor:
        """Any shape -> the same."""
        return self._function(x)

    def extra_repr(self) -> str:
        """Its name."""
        return self.name


def _gelu_sigmoid(x: Tensor) -> Tensor:
    return x * torch.sigmoid(1.702 * x)


def _gelu_clipped(x: Tensor) -> Tensor:
    return F.gelu(x).clamp(-10.0, 10.0)


def _relu_squared(x: Tensor) -> Tensor:
    return F.relu(x).square()


def _laplace(x: Tensor) -> Tensor:
    return 0.5 * (1.0 + torch.erf((x - 0.707107) / (0.282095 * math.sqrt(2.0))))


def _sqrt_softplus(x: Tensor) -> Tensor:
    return F.softplus(x).sqrt()


# Hendrycks and Gimpel 2016 have the forms of GELU: exact (erf), by tanh, and by a sigmoid of 1.702 x.
ACTIVATIONS: Mapping[Activation, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "gelu_tanh": lambda: nn.GELU(approximate="tanh"),
    "gelu_sigmoid": lambda: Function("gelu_sigmoid", _gelu_sigmoid),
    "gelu_clipped": lambda: Function("gelu_clipped", _gelu_clipped),
    "silu": nn.SiLU,
    "relu6": nn.ReLU6,
    "relu_squared": lambda: Function("relu_squared", _relu_squared),
    "leaky_relu": nn.LeakyReLU,
    "hardswish": nn.Hardswish,
    "mish": nn.Mish,
    "laplace": lambda: Function("laplace", _laplace),
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "sqrt_softplus": lambda: Function("sqrt_softplus", _sqrt_softplus),
    "linear": nn.Identity,
}


class FeedForward(nn.Module):
    """output(activation(inner(x))), or gated: output(activation(gate(x)) * inner(x)); at each position."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        inside, outside = config.feed_forward_bias == "all", config.feed_forward_bias != "none"
        self.inner = nn.Linear(config.d_model, config.d_ff, bias=inside)
        self.gate = nn.Linear(config.d_model, config.d_ff, bias=inside) if config.gated else None
        self.activation = ACTIVATIONS[config.activation]()
        self.output = nn.Linear(config.d_ff, config.d_model, bias=outside)

    def forward(self, x: Tensor) -> Tensor:
        """(..., D) -> (..., D)."""
        if self.gate is None:
            x = self.activation(self.inner(x))
        else:
            x = self.activation(self.gate(x)) * self.inner(x)
        out: Tensor = self.output(x)
        return out

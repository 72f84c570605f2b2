"""What may lie between pooling and a finished vector: a linear map, a LayerNorm, a normalisation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

import torch.nn.functional as F
from torch import Tensor, nn

from sestina_model._checks import is_number
from sestina_model._errors import ConfigError

__all__ = [
    "ACTIVATIONS",
    "EPSILON",
    "MOST",
    "Dense",
    "Normalize",
    "Step",
    "StepKind",
    "is_count",
    "make_step",
]

StepKind = Literal["dense", "layer_norm", "normalize"]

EPSILON = 1e-12  # smallest norm that is divided by: a zero vector stays zero
MOST = 2**24
_LAYER_NORM_EPS = 1e-5  # torch's default: sentence-transformers has no configuration of it

# torch.nn's activations that work on each number alone and need no argument, as they are without one.
ACTIVATIONS: Mapping[str, Callable[[], nn.Module]] = {
    **{
        activation.__name__: activation
        for activation in (
            *(
                nn.Identity,
                nn.Tanh,
                nn.ReLU,
                nn.ReLU6,
                nn.GELU,
                nn.SiLU,
                nn.Mish,
                nn.Sigmoid,
                nn.ELU,
                nn.SELU,
            ),
            *(nn.CELU, nn.LeakyReLU, nn.PReLU, nn.Softplus, nn.Softsign, nn.Hardtanh, nn.Hardswish),
            *(nn.Hardsigmoid, nn.Hardshrink, nn.Softshrink, nn.Tanhshrink, nn.LogSigmoid),
        )
    },
    # What it is once nothing is trained: the mean of the slopes that it draws from.
    "RReLU": lambda: nn.LeakyReLU((1 / 8 + 1 / 3) / 2),
}


def is_count(value: object) -> bool:
    """Whether a value is a whole number of at least 1."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step, as data.

    Attributes:
        kind: "dense": a linear map and an activation; "layer_norm": a LayerNorm with gain and bias;
            "normalize": division by the L2 norm.
        out_features: Of "dense": the width that it gives.
        activation: Of "dense": one of `ACTIVATIONS`.
        bias: Of "dense": whether its linear map has one.
        residual: Of "dense": whether its input is added to what it gives, through a linear map without bias
            where the widths differ.
        eps: Of "layer_norm": what is added to a variance.

    Raises:
        ConfigError: Where a value is not allowed.
    """

    kind: StepKind
    out_features: int | None = None
    activation: str = "Identity"
    bias: bool = True
    residual: bool = False
    eps: float = _LAYER_NORM_EPS

    def __post_init__(self) -> None:
        if self.kind not in get_args(StepKind):
            raise ConfigError(f"kind is {self.kind!r:.60}; it must be one of {', '.join(get_args(StepKind))}")
        if not is_number(self.eps) or not 0 < self.eps < 1:
            raise ConfigError(f"eps is {self.eps!r:.60}; it must be a number from 0 to 1")
        if self.kind != "layer_norm" and self.eps != _LAYER_NORM_EPS:
            raise ConfigError(f"a step of the kind {self.kind} has no eps")
        if self.kind != "dense":
            if (self.out_features, self.activation, self.bias, self.residual) != (
                None,
                "Identity",
                True,
                False,
            ):
                raise ConfigError(f"a step of the kind {self.kind} has no further members")
            return
        if not is_count(self.out_features) or cast("int", self.out_features) > MOST:
            raise ConfigError(
                f"out_features is {self.out_features!r:.60}; it must be a whole number from 1 to {MOST}"
            )
        if self.activation not in ACTIVATIONS:
            raise ConfigError(
                f"activation is {self.activation!r:.60}; it must be one of {', '.join(ACTIVATIONS)}"
            )
        for name in ("bias", "residual"):
            if not isinstance(getattr(self, name), bool):
                raise ConfigError(f"{name} is {getattr(self, name)!r:.60}; it must be true or false")

    def width(self, width: int) -> int:
        """What a vector of `width` is as wide as after it."""
        return self.out_features or width

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        if self.kind != "dense":
            own = {} if self.eps == _LAYER_NORM_EPS else {"eps": self.eps}
            return {"kind": self.kind, **own}
        members = ("kind", "out_features", "activation", "bias", "residual")
        return {name: getattr(self, name) for name in members}

    @classmethod
    def from_dict(cls, values: object) -> Step:
        """Read what `to_dict` wrote.

        Raises:
            ConfigError: On an unknown name or a value that is not allowed.
        """
        if not isinstance(values, Mapping) or "kind" not in values:
            raise ConfigError(f"a step is {values!r:.60}; it must be an object with a kind")
        unknown = sorted(set(values) - {"kind", "out_features", "activation", "bias", "residual", "eps"})
        if unknown:
            raise ConfigError(f"unknown names in a step: {', '.join(unknown)}")
        return cls(**values)


class Dense(nn.Module):
    """activation(x W^T + b), and where it is residual x besides."""

    def __init__(self, width: int, step: Step) -> None:
        super().__init__()
        out_features = step.width(width)
        self.linear = nn.Linear(width, out_features, bias=step.bias)
        self.activation = ACTIVATIONS[step.activation]()
        self.adds_input = step.residual
        self.residual = (
            nn.Linear(width, out_features, bias=False) if step.residual and width != out_features else None
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, width) -> (B, out_features)."""
        out: Tensor = self.activation(self.linear(x))
        if self.adds_input:
            out = out + (x if self.residual is None else self.residual(x))
        return out


class Normalize(nn.Module):
    """Division by the L2 norm."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, width) -> (B, width); a zero row stays zero."""
        return F.normalize(x, dim=-1, eps=EPSILON)


def make_step(step: Step, width: int) -> nn.Module:
    """The module of a step, for vectors of `width`, its weights fresh."""
    if step.kind == "dense":
        return Dense(width, step)
    if step.kind == "layer_norm":
        return nn.LayerNorm(width, eps=step.eps)
    return Normalize()

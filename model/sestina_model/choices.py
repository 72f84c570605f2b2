"""The words that an encoder's configuration chooses between; `EncoderConfig` says what each means."""

from __future__ import annotations

from typing import Literal

__all__ = [
    "Activation",
    "DisentangledTerm",
    "FeedForwardBias",
    "Norm",
    "NormKind",
    "Positions",
    "Projection",
    "Relative",
    "TokenTypes",
]

Activation = Literal[
    "relu", "gelu", "gelu_tanh", "gelu_sigmoid", "gelu_clipped", "silu", "relu6", "relu_squared",
    "leaky_relu", "hardswish", "mish", "laplace", "sigmoid", "tanh", "sqrt_softplus", "linear",
]  # fmt: skip
Norm = Literal["post", "pre", "sandwich"]
NormKind = Literal["layer", "rms"]
Positions = Literal["sinusoidal", "learned", "counted", "rotary", "none"]
Projection = Literal["after_norm", "before_norm"]
Relative = Literal["none", "shared", "layer", "disentangled"]
DisentangledTerm = Literal["content_to_position", "position_to_content"]
FeedForwardBias = Literal["all", "output", "none"]
TokenTypes = Literal["none", "folded"]

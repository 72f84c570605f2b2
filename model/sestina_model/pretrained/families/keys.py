"""The keys of a config.json, and the one line that says what one of them may be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sestina_model._checks import is_number, is_whole
from sestina_model._errors import CheckpointError, UnsupportedCheckpointError

__all__ = ["ACTIVATIONS", "MOST", "Keys"]

MOST, MOST_LAYERS = 2**24, 1024  # beyond any encoder, as `EncoderConfig` has it

# transformers' names of functions of one number, and ours; those of one line differ in rounding at most.
ACTIVATIONS: Mapping[str, str] = {
    "gelu": "gelu", "gelu_python": "gelu",
    "gelu_new": "gelu_tanh", "gelu_fast": "gelu_tanh", "gelu_pytorch_tanh": "gelu_tanh",
    "gelu_python_tanh": "gelu_tanh", "gelu_accurate": "gelu_tanh",
    "quick_gelu": "gelu_sigmoid",
    "gelu_10": "gelu_clipped",
    "silu": "silu", "swish": "silu",
    "relu": "relu",
    "relu2": "relu_squared",
    "relu6": "relu6",
    "leaky_relu": "leaky_relu",
    "hardswish": "hardswish",
    "mish": "mish",
    "laplace": "laplace",
    "sigmoid": "sigmoid",
    "tanh": "tanh",
    "sqrtsoftplus": "sqrt_softplus",
    "linear": "linear",
}  # fmt: skip


class Keys:
    """A config.json; every error names the file, the key, its value and what is allowed."""

    def __init__(self, values: Mapping[str, Any], origin: Path) -> None:
        self.values = values
        self.origin = origin

    def wrong(self, key: str, value: object, allowed: str) -> CheckpointError:
        """The error of a value that makes no sense."""
        return CheckpointError(f"{self.origin}: {key} is {value!r:.60}; it must be {allowed}")

    def unsupported(self, key: str, value: object, instead: str = "") -> UnsupportedCheckpointError:
        """The error of a value that is not carried."""
        return UnsupportedCheckpointError(f"{self.origin}: {key} {value!r:.60} is not supported{instead}")

    def whole(self, key: str, default: int, least: int = 1, most: int = MOST) -> int:
        """A whole number."""
        value = self.values.get(key, default)
        if not is_whole(value) or value < least:
            raise self.wrong(key, value, f"a whole number of at least {least}")
        if value > most:
            raise self.wrong(key, value, f"at most {most}")
        return int(value)

    def layers(self, key: str, default: int, least: int = 0) -> int:
        """A number of layers, of which lists are made before the encoder is."""
        return self.whole(key, default, least, MOST_LAYERS)

    def optional_whole(self, key: str, least: int = 1) -> int | None:
        """A whole number, or None where it is null or absent."""
        return None if self.values.get(key) is None else self.whole(key, least, least)

    def number(self, key: str, default: float) -> float:
        """A number above 0."""
        value = self.values.get(key, default)
        if not is_number(value) or not 0 < value < 1e30:
            raise self.wrong(key, value, "a number above 0")
        return float(value)

    def flag(self, key: str, *, default: bool) -> bool:
        """True or false; null is false there, and here."""
        value = self.values.get(key, default)
        if value is not None and not isinstance(value, bool):
            raise self.wrong(key, value, "true or false")
        return bool(value)

    def layer_types(self, n_layers: int, default: Sequence[str]) -> list[str]:
        """For each layer "full_attention" or "sliding_attention"."""
        value = self.values.get("layer_types")
        if value is None:
            return list(default)
        known = ("full_attention", "sliding_attention")
        if not isinstance(value, list) or any(each not in known for each in value) or len(value) < n_layers:
            raise self.wrong("layer_types", value, f"a list of {' or '.join(known)} for {n_layers} layers")
        return value[:n_layers]

    def activation(self, key: str, value: object) -> str:
        """Ours of transformers' name of a function."""
        if not isinstance(value, str) or value not in ACTIVATIONS:
            known = ", ".join(ACTIVATIONS)
            raise UnsupportedCheckpointError(
                f"{self.origin}: {key} {value!r:.60} is not supported; {known} are"
            )
        return ACTIVATIONS[value]

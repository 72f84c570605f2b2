"""How fast the pairs of a rotary position embedding turn, as data (Su et al. 2021, section 3.2)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from sestina_model._checks import check_choice, check_count, check_number, check_switch
from sestina_model._errors import ConfigError

__all__ = ["RotaryConfig", "Scaling"]

Scaling = Literal["none", "linear", "yarn", "llama3"]
_MOST = 2**24


@dataclass(frozen=True, slots=True, kw_only=True)
class RotaryConfig:
    """Pair i of a head turns by pos * theta^(-2i / R), scaled for contexts longer than those trained on.

    Attributes:
        theta: The base of the wavelengths.
        width: R, the dimensions at the start of each head that turn; None: all of them.
        interleaved: Whether pair i is the dimensions 2i and 2i + 1, as in the paper, or i and i + R / 2.
        scaling: "none"; "linear": all pairs turn `factor` times slower (Chen et al. 2023); "yarn": only those
            do that turn less than `slow` times in `original_positions`, those that turn more than `fast`
            times do not, with a ramp between (Peng et al. 2023, section 3.2); "llama3": the same with a ramp
            over wavelengths, `slow` and `fast` being its low and its high frequency factor.
        factor: How many times longer the context becomes.
        original_positions: The context before scaling.
        slow: Where pairs are slow.
        fast: Where pairs are fast.
        whole: Whether yarn's ramp runs between whole pairs.
        magnitude: What sines and cosines are multiplied by (Peng et al. 2023, section 3.4).

    Raises:
        ConfigError: Where a value is not allowed.
    """

    theta: float = 10000.0
    width: int | None = None
    interleaved: bool = False
    scaling: Scaling = "none"
    factor: float = 1.0
    original_positions: int | None = None
    slow: float = 1.0
    fast: float = 32.0
    whole: bool = True
    magnitude: float = 1.0

    def __post_init__(self) -> None:
        check_number("rotary theta", self.theta, above=1.0)
        check_choice("rotary scaling", self.scaling, get_args(Scaling))
        if self.width is not None:
            check_count("rotary width", self.width, _MOST, 2)
        for name in ("factor", "slow", "fast", "magnitude"):
            check_number(f"rotary {name}", getattr(self, name))
        for name in ("interleaved", "whole"):
            check_switch(f"rotary {name}", getattr(self, name))
        if self.scaling in ("yarn", "llama3"):
            check_count("rotary original_positions", self.original_positions, _MOST)
            if self.fast <= self.slow:
                raise ConfigError(
                    f"rotary fast is {self.fast!r:.60}; it must be above slow, which is {self.slow!r:.60}"
                )

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values, those that hold their default left out but for theta."""
        values = dataclasses.asdict(self)
        defaults = {field.name: field.default for field in dataclasses.fields(self)}
        return {name: value for name, value in values.items() if name == "theta" or value != defaults[name]}

    @classmethod
    def from_dict(cls, values: object, name: str) -> RotaryConfig:
        """Read what `to_dict` wrote, under the name of its field."""
        if not isinstance(values, Mapping):
            raise ConfigError(f"{name} is {values!r:.60}; it must be an object")
        unknown = sorted(set(values) - {field.name for field in dataclasses.fields(cls)})
        if unknown:
            raise ConfigError(f"{name} has unknown names: {', '.join(map(str, unknown)):.160}")
        return cls(**values)

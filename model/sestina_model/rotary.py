"""Rotary position embeddings: queries and keys turn by an angle that grows with their position.

Su et al. 2021, "RoFormer", section 3.2; scaled for longer contexts as Chen et al. 2023 ("position
interpolation") and Peng et al. 2023 ("YaRN") do.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from sestina_model.rotary_config import RotaryConfig

__all__ = ["RotaryTable", "frequencies", "turn"]


def frequencies(config: RotaryConfig, width: int) -> Tensor:
    """By how much each of the R / 2 pairs turns from one position to the next. Returns: (R / 2,) float32.

    In float32 as in the models that were trained so: at position 8,191 a frequency that is more exact is
    another angle.
    """
    exponents = torch.arange(0, width, 2, dtype=torch.float32, device="cpu") / width
    wavelengths = config.theta**exponents  # times 2 pi
    plain = 1.0 / wavelengths
    if config.scaling == "linear":
        return plain / config.factor
    if config.scaling == "llama3":
        return _by_wavelength(plain, config)
    if config.scaling == "yarn":
        return _by_turns(plain, 1.0 / (config.factor * wavelengths), config)
    return plain


def _by_wavelength(plain: Tensor, config: RotaryConfig) -> Tensor:
    """Slow pairs divided by the factor, fast ones kept, and between them a share of each."""
    turns = (config.original_positions or 1) / (2 * math.pi / plain)  # in the context trained on
    kept = ((turns - config.slow) / (config.fast - config.slow)).clamp(0.0, 1.0)
    return (1 - kept) * plain / config.factor + kept * plain


def _by_turns(plain: Tensor, slow: Tensor, config: RotaryConfig) -> Tensor:
    """The same over the number of the pair, which grows with the logarithm of its wavelength."""
    width = 2 * len(plain)

    def pair(turns: float) -> float:
        period = (config.original_positions or 1) / (turns * 2 * math.pi)
        return width * math.log(period) / (2 * math.log(config.theta))

    low, high = pair(config.fast), pair(config.slow)
    if config.whole:
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, width - 1)
    if low == high:
        high += 0.001
    number = torch.arange(width // 2, dtype=torch.float32, device="cpu")
    slowed = ((number - low) / (high - low)).clamp(0.0, 1.0)
    return slow * slowed + plain * (1 - slowed)


class RotaryTable(nn.Module):
    """The cosine and the sine of every angle.

    Attributes:
        cos: (max_positions, R / 2) float32, as `sin`; computed, so not among the weights.
        sin: Of the same angles.
        width: R.
        interleaved: Whether pairs lie side by side, or half of R apart.
    """

    cos: Tensor
    sin: Tensor

    def __init__(self, config: RotaryConfig, d_head: int, max_positions: int) -> None:
        super().__init__()
        self.config = config
        self.width = d_head if config.width is None else config.width
        self.interleaved = config.interleaved
        self._shape = (max_positions, self.width // 2)
        for name in ("cos", "sin"):
            self.register_buffer(name, torch.empty(self._shape), persistent=False)
        self.compute()

    def compute(self) -> None:
        """Fill the tables; one that was made on the meta device has them on the CPU then.

        Angles in float32, as `frequencies`; their cosines in float64, rounded once.
        """
        positions = torch.arange(self._shape[0], dtype=torch.float32, device="cpu")
        angles = (positions[:, None] * frequencies(self.config, self.width)).to(torch.float64)
        self.cos = (angles.cos() * self.config.magnitude).to(torch.float32)
        self.sin = (angles.sin() * self.config.magnitude).to(torch.float32)

    def forward(self, x: Tensor) -> Tensor:
        """The first R dimensions of each head turned. (B, H, S, K) -> the same."""
        length = x.shape[-2]
        return turn(x, self.cos[:length], self.sin[:length], interleaved=self.interleaved)


def turn(x: Tensor, cos: Tensor, sin: Tensor, *, interleaved: bool) -> Tensor:
    """Pairs (a, b) to (a cos - b sin, b cos + a sin).

    Args:
        x: (..., S, K).
        cos: (S, R / 2), R at most K.
        sin: As `cos`.
        interleaved: Whether pairs lie side by side.
    """
    half = cos.shape[-1]
    rest = x[..., 2 * half :]
    if interleaved:
        a, b = x[..., 0 : 2 * half : 2], x[..., 1 : 2 * half : 2]
        turned = torch.stack((a * cos - b * sin, b * cos + a * sin), -1).flatten(-2)
    else:
        a, b = x[..., :half], x[..., half : 2 * half]
        turned = torch.cat((a * cos - b * sin, b * cos + a * sin), -1)
    return torch.cat((turned, rest), -1) if rest.shape[-1] else turned

"""The arithmetic of the benchmark: percentiles, and ratios of medians with their spread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

Rounds = Sequence[Sequence[float]]


@dataclass(frozen=True, slots=True)
class Ratio:
    """How many times larger one quantity is than another.

    Attributes:
        value: The ratio of the medians over rounds; a round counts as its own median, so that one bad
            round is outvoted by the others.
        low, high: The quartiles of the ratios of single rounds.
    """

    value: float
    low: float
    high: float


def percentile(values: Sequence[float], q: float) -> float:
    """The q-th percentile (0 to 100), linear between the two nearest values.

    Raises:
        ValueError: Where there are no values.
    """
    if not values:
        raise ValueError("there is no percentile of no values")
    ordered = sorted(values)
    place = (len(ordered) - 1) * q / 100
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def median(values: Sequence[float]) -> float:
    """The 50th percentile."""
    return percentile(values, 50)


def pooled(rounds: Rounds) -> list[float]:
    """Every value of every round."""
    return [value for values in rounds for value in values]


def ratio(numerator: Rounds, denominator: Rounds) -> Ratio:
    """Compare what was measured in the same rounds.

    A round's ratio compares neighbours in time, so a machine that slows down for a while changes the spread
    less than it changes either quantity.

    Args:
        numerator: For each round the values of one contender.
        denominator: For the same rounds, those of the other.
    """
    above = [median(values) for values in numerator]
    below = [median(values) for values in denominator]
    singles = [one / other for one, other in zip(above, below, strict=True)]
    return Ratio(median(above) / median(below), percentile(singles, 25), percentile(singles, 75))

"""What the fields of a configuration may hold, and the one line that says so."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeGuard

from sestina_model._errors import ConfigError

__all__ = [
    "check_choice",
    "check_count",
    "check_fraction",
    "check_number",
    "check_switch",
    "is_number",
    "is_whole",
]


def is_whole(value: object) -> TypeGuard[int]:
    """Whether a value is an integer, and neither true nor false."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: object) -> TypeGuard[float]:
    """Whether a value is a number, and neither true nor false."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def check_count(name: str, value: object, most: int, least: int = 1) -> None:
    """A whole number from `least` to `most`."""
    if not is_whole(value) or value < least:
        raise ConfigError(f"{name} is {value!r:.60}; it must be a whole number of at least {least}")
    if value > most:
        raise ConfigError(f"{name} is {value!r:.60}; it must be at most {most}")


def check_choice(name: str, value: object, allowed: Sequence[str]) -> None:
    """One of some words."""
    if value not in allowed:
        raise ConfigError(f"{name} is {value!r:.60}; it must be one of {', '.join(allowed)}")


def check_switch(name: str, value: object) -> None:
    """True or false."""
    if not isinstance(value, bool):
        raise ConfigError(f"{name} is {value!r:.60}; it must be true or false")


def check_fraction(name: str, value: object) -> None:
    """Above 0 and below 1."""
    if not is_number(value) or not 0.0 < value < 1.0:
        raise ConfigError(f"{name} is {value!r:.60}; it must be above 0 and below 1")


def check_number(name: str, value: object, *, above: float = 0.0) -> None:
    """A finite number above a bound."""
    if not is_number(value) or not above < value < 1e30:
        raise ConfigError(f"{name} is {value!r:.60}; it must be a number above {above:g}")

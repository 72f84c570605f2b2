"""Which texts are for measuring: their own hash says so, wherever they stand."""

from __future__ import annotations

import hashlib

__all__ = ["as_number", "is_held_out", "is_passage", "is_query"]

# Of so many texts one begins a passage to search in, and one is a query.
_ONE_OF = 64


def as_number(text: str) -> int:
    """A number that only the text decides, evenly spread over 0 to 2^64 - 1."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")


def is_passage(text: str) -> bool:
    """Whether a passage to search in begins with this line."""
    return as_number(text) % _ONE_OF == 0


def is_query(text: str) -> bool:
    """Whether this line may be asked."""
    return as_number(text) % _ONE_OF == 1


def is_held_out(text: str) -> bool:
    """Either of the two."""
    return as_number(text) % _ONE_OF < 2

"""Passages of the corpus beside the repository, where it is there."""

from __future__ import annotations

import lzma
import random
from pathlib import Path

DATA = Path(__file__).parents[1].parent / "shared" / "data"


def passages(count: int) -> list[str]:
    """An equal share of every source, in an order that a seed fixes."""
    files = sorted((DATA / "corpus").glob("*.xz"))
    share = -(-count // len(files))
    chosen = []
    for number, file in enumerate(files):
        with lzma.open(file, "rt", encoding="utf-8") as lines:
            head = [line.rstrip("\n") for line, _ in zip(lines, range(20 * share), strict=False)]
        chosen += random.Random(number).sample(head, share)
    return chosen[:count]

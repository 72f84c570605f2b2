"""Cases: drawn from a target, a seed and a number, and nothing else."""

from __future__ import annotations

import hashlib
import importlib
import random
from types import ModuleType
from typing import Any

Recipe = dict[str, Any]  # what JSON can hold

# How many cases of each a round has: what takes long is tried less often. A target is a module with
# `generate(rng, world)`, which draws a recipe, and `check(recipe, world, scratch)`, which runs one in a process of
# its own and returns how it ended ("right", "refused"), or raises a `Fault`.
TARGETS = {
    "manifests": 12,
    "graphs": 12,
    "stored": 6,
    "tokenizers": 12,
    "goldens": 6,
    "texts": 8,
    "options": 8,
    "vector_files": 6,
    "arguments": 8,
    "streams": 2,
    "links": 4,
    "threads": 3,
    "forks": 2,
    "kills": 2,
    "limits": 2,
    "overwrites": 1,
    "checkpoints": 6,
}


class Fault(Exception):  # noqa: N818  what is wrong is the product
    """Something that must not happen, in one line; `sort` is the same for two of a kind."""

    def __init__(self, sort: str, what: str) -> None:
        super().__init__(f"{sort}: {what}")
        self.sort = sort
        self.what = what


def target(name: str) -> ModuleType:
    """The module of a target."""
    return importlib.import_module(f"fuzz.{name}")


def drawn(name: str, seed: int, number: int) -> random.Random:
    """What the recipe of a case is drawn with: the same for the same case on every machine."""
    digest = hashlib.sha256(f"{name}/{seed}/{number}".encode()).digest()
    return random.Random(int.from_bytes(digest, "big"))


def several(rng: random.Random, most: int) -> int:
    """How many changes a case makes: mostly one, for two may hide each other."""
    return 1 if rng.random() < 0.6 else rng.randint(2, max(2, most))

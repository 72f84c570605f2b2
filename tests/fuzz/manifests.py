"""Manifests: every member altered, and the bytes of the whole."""

from __future__ import annotations

import json
import random
from pathlib import Path

from fuzz.bundles import copied, judged, put
from fuzz.core import Recipe, several
from fuzz.documents import change, changed, spoil, spoiled
from fuzz.references import TEXTS, Reference
from fuzz.world import BASES, World

SECONDS = 15


def generate(rng: random.Random, world: World) -> Recipe:
    base = rng.choice(BASES)
    content = (world.bundle(base) / "manifest.json").read_bytes()
    if rng.random() < 0.15:
        return {"base": base, "bytes": [spoil(rng, len(content)) for _ in range(several(rng, 5))]}
    document = json.loads(content)
    return {
        "base": base,
        "cli": rng.random() < 0.15,
        "steps": [change(rng, document) for _ in range(several(rng, 4))],
    }


def check(recipe: Recipe, world: World, scratch: Path) -> str:
    bundle = copied(world, recipe["base"], scratch)
    content = (bundle / "manifest.json").read_bytes()
    if "steps" in recipe:
        content = changed(json.loads(content), recipe["steps"])
    put(bundle / "manifest.json", spoiled(content, recipe.get("bytes", ())))
    # The graph and the tokenizer are as they were, so whatever the manifest says, ids have one right vector.
    return judged(bundle, _reference(world, recipe["base"]), texts=TEXTS, cli=recipe.get("cli", False))


def _reference(world: World, base: str) -> Reference | None:
    """int8 has vectors of its own, which no plain graph here gives."""
    return None if base == "mobile" else Reference(world.reference(base))

"""Goldens: what `verify` says must be true, whatever golden.json and golden.npy hold."""

from __future__ import annotations

import io
import json
import random
from pathlib import Path
from typing import Any

import numpy as np

import sestina
from fuzz.arrays import ways, written
from fuzz.bundles import copied, listed, put
from fuzz.core import Fault, Recipe, several
from fuzz.documents import change, changed, spoil, spoiled
from fuzz.oracle import Refused, attempt
from fuzz.references import Reference
from fuzz.world import World

SECONDS = 15
_FILES = ("golden.json", "golden.npy")


def generate(rng: random.Random, world: World) -> Recipe:
    base = rng.choice(("wordpiece", "bpe", "unigram"))
    sort = rng.choice(("document", "document", "array", "bytes"))
    if sort == "document":
        document = json.loads((world.bundle(base) / "golden.json").read_bytes())
        return {"base": base, "steps": [change(rng, document) for _ in range(several(rng, 3))]}
    if sort == "array":
        return {"base": base, "array": ways(rng)}
    file = rng.choice(_FILES)
    size = (world.bundle(base) / file).stat().st_size
    return {"base": base, "file": file, "bytes": [spoil(rng, size) for _ in range(several(rng, 4))]}


def check(recipe: Recipe, world: World, scratch: Path) -> str:
    bundle = copied(world, recipe["base"], scratch)
    for file in _FILES:
        content = (bundle / file).read_bytes()
        if file == "golden.json" and "steps" in recipe:
            content = changed(json.loads(content), recipe["steps"])
        if file == "golden.npy" and "array" in recipe:
            content = written(np.load(io.BytesIO(content)), recipe["array"])
        if recipe.get("file") == file:
            content = spoiled(content, recipe["bytes"])
        put(bundle / file, content)
    listed(bundle, *_FILES)
    encoder = attempt(lambda: sestina.load(bundle, precision="fp32"))
    if isinstance(encoder, Refused):
        return "refused"
    with encoder:
        found = attempt(encoder.verify)
        if isinstance(found, Refused):
            return "refused"
        _true(found, bundle, Reference(world.bundle(recipe["base"])))
    return "right"


def _true(found: Any, bundle: Path, reference: Reference) -> None:
    """What is said of each golden is what the files say."""
    goldens = json.loads((bundle / "golden.json").read_bytes())["goldens"]
    vectors = np.load(bundle / "golden.npy")
    if len(found.goldens) != len(goldens) or not goldens:
        raise Fault("verify has another number of goldens", f"{len(found.goldens)} of {len(goldens)}")
    for result, golden, row in zip(found.goldens, goldens, vectors, strict=True):
        if type(result.name) is not str or type(result.passed) is not bool:
            raise Fault("a golden's result has other types", f"{result.name!r:.60} {result.passed!r}")
        if not isinstance(golden["text"], str) or result.name != golden["name"]:
            raise Fault(
                "a golden that is none is not refused", f"{golden['text']!r:.60} {golden['name']!r:.60}"
            )
        ids = reference.ids(golden["text"])
        error = float(np.abs(reference.of_ids(ids).astype(np.float64) - row).max())
        right = golden["ids"] == ids and error <= found.tolerance
        if abs(error - found.tolerance) > 1e-6 and result.passed is not right:
            raise Fault(f"a golden is said to have passed={result.passed}", f"off by {error:.3g}")
    if found.passed is not all(result.passed for result in found.goldens):
        raise Fault("verify passes what does not", repr(found.passed))

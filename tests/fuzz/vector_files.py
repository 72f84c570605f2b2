"""Files of saved vectors given to `search`: the ranking that numpy finds in them, or one line."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np

import sestina
from fuzz.arrays import ways, written
from fuzz.command import forked, held, kept, tree
from fuzz.core import Fault, Recipe, several
from fuzz.documents import change, changed, spoil, spoiled
from fuzz.world import World

SECONDS = 45
_TEXTS = ("the transformer", "a model", "tokens", "", "stanza of words", "one more text")
_QUERY = "a text about models"


def generate(rng: random.Random, world: World) -> Recipe:
    if rng.random() < 0.5:
        return {"array": ways(rng), "names": rng.choice((0, 0, 0, 6, 5, 7)), "top": rng.choice((1, 3, 10))}
    sample = {"text": "a", "vector": [0.1] * 32}
    sort = rng.choice(("document", "document", "bytes", "lines"))
    if sort == "document":
        return {"line": rng.randrange(6), "steps": [change(rng, sample) for _ in range(several(rng, 2))]}
    if sort == "bytes":
        return {"line": 0, "bytes": [spoil(rng, 2400) for _ in range(several(rng, 4))]}
    odd = (
        "",
        "null",
        "[]",
        '"a"',
        "{",
        "1e999",
        '{"vector": null}',
        "\x00",
        '{"text": "b"}',
        "[" * 9000,
        '{"a":' * 9000,
    )
    return {"line": rng.randrange(6), "instead": rng.choice(odd)}


def check(recipe: Recipe, world: World, scratch: Path) -> str:
    base = world.bundle("wordpiece")
    with sestina.load(base, precision="fp32") as encoder:
        rows = encoder.encode(list(_TEXTS))
        query = encoder.encode(_QUERY)
    more: list[str] = []
    if "array" in recipe:
        file = scratch / "saved.npy"
        file.write_bytes(written(rows, recipe["array"]))
        if recipe["names"]:
            (scratch / "names.txt").write_text("\n".join((_TEXTS * 2)[: recipe["names"]]) + "\n")
            more = ["--texts", "names.txt"]
    else:
        file = scratch / "saved.jsonl"
        lines = [
            json.dumps({"text": text, "vector": row.tolist()}) for text, row in zip(_TEXTS, rows, strict=True)
        ]
        at = recipe["line"]
        if "steps" in recipe:
            lines[at] = changed(json.loads(lines[at]), recipe["steps"]).decode().replace("\n", " ")
        lines[at] = recipe.get("instead", lines[at])
        file.write_bytes(
            spoiled(("\n".join(lines) + "\n").encode(errors="surrogatepass"), recipe.get("bytes", ()))
        )
    argv = [
        "search",
        str(base),
        _QUERY,
        "--in",
        file.name,
        "--json",
        "--precision",
        "fp32",
        "--top",
        str(recipe.get("top", 10)),
        *more,
    ]
    before = tree(scratch)
    ended = forked(argv)
    held(ended, argv)
    kept(before, tree(scratch), (), success=False)
    if ended.code:
        return "refused"
    _ranked(json.loads(ended.out)["results"], _read(file), query, recipe.get("top", 10))
    return "right"


def _read(file: Path) -> np.ndarray:
    if file.suffix == ".npy":
        return np.asarray(np.load(file, allow_pickle=False), dtype=np.float64)
    records = [
        json.loads(line)
        for line in file.read_bytes().removeprefix(b"\xef\xbb\xbf").split(b"\n")
        if line.strip()
    ]
    return np.array([record["vector"] for record in records], dtype=np.float64).reshape(len(records), -1)


def _ranked(results: list[dict[str, Any]], rows: np.ndarray, query: np.ndarray, top: int) -> None:
    if len(results) != min(top, len(rows)):
        raise Fault("search finds another number", f"{len(results)} of {len(rows)}")
    most = np.abs(rows).max(axis=1, keepdims=True, initial=0)
    scaled = rows / np.where(most == 0, 1, most)
    norms = np.linalg.norm(scaled, axis=1)
    right = scaled @ query.astype(np.float64) / np.where(norms == 0, 1, norms) / np.linalg.norm(query)
    best = np.sort(right)[::-1][: len(results)]
    scores = np.array([result["score"] if result["score"] is not None else np.nan for result in results])
    if not np.allclose(scores, best, atol=1e-3):
        raise Fault("search ranks by other cosines", f"{scores[:3]} for {best[:3]}")

"""Graphs: their bytes, the ways they are written, weights from elsewhere, operators, and outputs of other types."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from fuzz import elsewhere, surgery, wire
from fuzz.bundles import copied, judged, listed, put
from fuzz.core import Fault, Recipe, several
from fuzz.documents import spoil, spoiled
from fuzz.references import Reference
from fuzz.world import World

SECONDS = 20
_FILE = "cpu-fp32.onnx"
_WAYS = (
    {"pad": 1}, {"pad": 4}, {"pad": 9}, {"high": 1}, {"high": 0x7FFF}, {"pad-value": 1}, {"pad-value": 8},
    {"pad-size": 1}, {"pad-size": 4}, {"high-size": 1}, {"group": True}, {"group": True, "pad": 2},
)  # fmt: skip
_LOCATIONS = (
    "other.bin",
    _FILE,
    "tokenizer.json",
    "./other.bin",
    "../other.bin",
    "/proc/self/mem",
    "/dev/zero",
    "",
    "*",
)
_UNKNOWN = (
    "f8ff03" + "01",
    "c23e" + "05" + "0a03616263",
    "fa3f00",
    "f93f" + "00" * 8,
    "c33ec43e",
    "0a",
    "07",
    "ffffffffff",
)


def generate(rng: random.Random, world: World) -> Recipe:
    base = rng.choice(("wordpiece", "mapped", "bpe", "static", "mobile"))
    content = (world.bundle(base) / graph_of(world.bundle(base))).read_bytes()
    sorts = ("bytes", "head", "written", "written", "elsewhere", "elsewhere", "surgery", "surgery", "surgery")
    sort = rng.choice(sorts[:2] if base == "mobile" else sorts)
    if sort == "bytes":
        return {"base": base, "bytes": [spoil(rng, len(content)) for _ in range(several(rng, 5))]}
    if sort == "head":  # where structure is, not weights
        return {"base": base, "bytes": [spoil(rng, min(len(content), 4000)) for _ in range(several(rng, 3))]}
    if sort == "surgery":
        return {
            "base": base,
            "cli": rng.random() < 0.15,
            "surgery": [surgery.drawn(rng) for _ in range(several(rng, 2))],
        }
    fields = len(list(wire.walk(wire.parsed(content))))
    steps = [_step(rng, fields, moves=sort == "elsewhere") for _ in range(several(rng, 3))]
    return {"base": base, "fields": steps}


def graph_of(bundle: Path) -> str:
    """The file of its fp32 variant, where it has one."""
    variants = json.loads((bundle / "manifest.json").read_text())["variants"]
    return str(min(variants, key=lambda variant: variant["precision"] != "fp32")["file"])


def _step(rng: random.Random, fields: int, *, moves: bool) -> list[Any]:
    """A change to the field of this number, counted as they are walked."""
    ways: Any = rng.choice(_WAYS) if rng.random() < (0.6 if moves else 1.0) else {}
    if moves:
        place = rng.choice(("initializer", "initializer", *elsewhere.PLACES))
        size = rng.choice((None, None, 128, 1 << 40))
        return [
            "external",
            rng.randrange(40),
            place,
            rng.choice(_LOCATIONS),
            rng.choice((None, 0, 64, -1)),
            size,
            ways,
        ]
    kind = rng.choice(("ways", "ways", "split", "unknown", "twice", "drop", "move"))
    at = rng.randrange(fields)
    if kind == "ways":
        return [kind, at, ways]
    if kind == "split":
        return [kind, at, rng.randrange(30), rng.choice(({}, {}, ways))]
    if kind == "unknown":
        return [kind, at, rng.choice(_UNKNOWN)]
    return [kind, at]


def check(recipe: Recipe, world: World, scratch: Path) -> str:
    bundle = copied(world, recipe["base"], scratch)
    file = graph_of(bundle)
    content = (bundle / file).read_bytes()
    outside = False
    if "surgery" in recipe:
        content = surgery.operated(content, recipe["surgery"])
    if "fields" in recipe:
        tree = wire.parsed(content)
        for step in recipe["fields"]:
            outside |= _apply(tree, step)
        content = wire.serialised(tree)
    content = spoiled(content, recipe.get("bytes", ()))
    put(bundle / file, content)
    # Whatever looks for another file, beside the graph or in the working directory, finds other values.
    for place in (bundle, scratch, scratch.parent):
        (place / "other.bin").write_bytes(b"\x3f\x80\x00\x3f" * (1 << 18))
    (scratch / _FILE).write_bytes(b"\x3f\x80\x00\x3f" * (1 << 18))
    listed(bundle, file)
    # A graph that is only written in another way is the same graph.
    same = "fields" in recipe and all(step[0] in ("ways", "split", "external") for step in recipe["fields"])
    ended = judged(
        bundle,
        Reference(world.reference(recipe["base"])) if same else None,
        most=1e-5 if same else 1e-3,
        precision="int8" if recipe["base"] == "mobile" else "fp32",
        threads=2,
        cli=recipe.get("cli", False),
    )
    if ended == "right" and (outside or surgery.refusable(recipe.get("surgery", ()))):
        raise Fault(
            "a graph is not refused", "it takes weights from elsewhere, or has what no graph of ours has"
        )
    return ended


def _apply(tree: wire.Tree, step: list[Any]) -> bool:
    """Make one change. Returns: whether a tensor is elsewhere now."""
    kind, at, *what = step
    if kind == "external":
        return elsewhere.moved(tree, at, *what)
    places = list(wire.walk(tree))
    _, holder, index = places[at % len(places)]
    if kind == "ways":
        holder[index] = [*holder[index][:3], what[0]]
    elif kind == "split":
        messages = [(each, place) for _, each, place in places if each[place][1] == "message"]
        holder, index = messages[at % len(messages)]
        wire.split(holder, index, what[0] % (len(holder[index][2]) + 1))
        holder[index] = [*holder[index][:3], what[1]]
    elif kind == "unknown":
        holder.insert(index, [0, "raw", what[0]])
    elif kind == "twice":
        holder.insert(index, holder[index])
    elif kind == "drop":
        del holder[index]
    elif kind == "move":
        holder.append(holder.pop(index))
    return False

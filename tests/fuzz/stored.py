"""Weights in files of their own: where a graph says that they are, said in every wrong way, and files that differ."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from fuzz import wire
from fuzz.bundles import copied, judged, listed, put
from fuzz.core import Fault, Recipe, several
from fuzz.documents import spoil, spoiled
from fuzz.references import Reference
from fuzz.world import World

SECONDS = 20
BASE, _GRAPH, _WEIGHTS = "stored", "cpu-fp32.onnx", "cpu-fp32.onnx_data"
_ENTRY = 13
_LOCATIONS = (
    "other.bin", "tokenizer.json", "cpu-fp32.onnx", f"./{_WEIGHTS}", f"../altered.sestina/{_WEIGHTS}", "/dev/zero",
    "/proc/self/mem", "", "*/_ORT_MEM_ADDR_/*", f"{_WEIGHTS}\0", _WEIGHTS.upper(),
)  # fmt: skip
_NUMBERS = (
    "0", "00", "-64", "+0", "0x0", "", " 0", "1", "63", "64", "65536", "1048576", "9223372036854775807",
    "18446744073709551616", "1e3", "64.0",
)  # fmt: skip
_WAYS = (
    {"pad": 1}, {"pad": 4}, {"high": 1}, {"pad-size": 1}, {"high-size": 1}, {"group": True}, {"pad-value": 1},
)  # fmt: skip
_FIELDS = (
    "4a0401020304",
    "2205" + "0000803f00",
    "7000",
    "0a0101",
    "1a040a02" + "0801",
    "82010461626364",
    "0840",
)
# What is refused whatever it says, as the format has one way to say it.
_NEVER = ("add", "drop", "turn", "field", "ways")


def generate(rng: random.Random, world: World) -> Recipe:
    del world
    if rng.random() < 0.15:
        return {
            "weights": [spoil(rng, 1 << 20) for _ in range(several(rng, 3))],
            "listed": rng.random() < 0.5,
        }
    steps = []
    for _ in range(several(rng, 3)):
        kind = rng.choice(
            ("location", "offset", "length", "offset", "add", "drop", "turn", "field", "ways", "same")
        )
        step: list[Any] = [kind, rng.randrange(40)]
        if kind == "location":
            step.append(rng.choice(_LOCATIONS))
        elif kind in ("offset", "length"):
            step.append(rng.choice(_NUMBERS))
        elif kind == "add":
            step += [
                rng.choice(("location", "offset", "length", "checksum", "")),
                rng.choice((*_NUMBERS, _WEIGHTS)),
            ]
        elif kind in ("drop", "turn"):
            step.append(rng.randrange(3))
        elif kind == "field":
            step.append(rng.choice(_FIELDS))
        elif kind == "ways":
            step += [rng.randrange(4), rng.choice(_WAYS)]
        else:
            step.append(rng.randrange(40))
        steps.append(step)
    return {"steps": steps, "cli": rng.random() < 0.1}


def check(recipe: Recipe, world: World, scratch: Path) -> str:
    bundle = copied(world, BASE, scratch)
    for place in (bundle, scratch):  # whatever is looked for by its name is there, with other values
        (place / "other.bin").write_bytes(b"\x3f\x80\x00\x3f" * (1 << 18))
    steps, changed = recipe.get("steps", []), False
    if steps:
        before = (bundle / _GRAPH).read_bytes()
        tree = wire.parsed(before)
        for step in steps:
            _apply(tree, step)
        changed = wire.serialised(tree) != before  # a way to write a size changes nothing of a number
        put(bundle / _GRAPH, wire.serialised(tree))
        listed(bundle, _GRAPH)
    if "weights" in recipe:
        before = (bundle / _WEIGHTS).read_bytes()
        put(bundle / _WEIGHTS, spoiled(before, recipe["weights"]))
        if recipe["listed"]:
            listed(bundle, _WEIGHTS)
        elif (bundle / _WEIGHTS).read_bytes() != before:
            ended = judged(bundle, None, most=1e-3, threads=2)
            if ended == "right":
                raise Fault("altered weights are not refused", str(recipe["weights"]))
            return ended
    ended = judged(
        bundle,
        None if "weights" in recipe else Reference(world.reference(BASE)),
        most=1e-3 if "weights" in recipe else 1e-5,
        threads=2,
        cli=recipe.get("cli", False),
    )
    if ended == "right" and changed and any(step[0] in _NEVER for step in steps):
        raise Fault("weights elsewhere are said in another way and not refused", str(steps))
    return ended


def _apply(tree: wire.Tree, step: list[Any]) -> None:
    """Change what one of the tensors whose values are elsewhere says of that."""
    kind, at, *what = step
    graph = next(field[2] for field in tree if field[0] == 7)
    tensors = [field[2] for field in graph if field[0] == 5 and any(inner[0] == _ENTRY for inner in field[2])]
    if not tensors:
        return
    tensor = tensors[at % len(tensors)]
    entries = [index for index, field in enumerate(tensor) if field[0] == _ENTRY]
    if kind in ("location", "offset", "length"):
        for index in entries:
            if tensor[index][2][0][2] == kind.encode():
                tensor[index][2][1] = [2, "bytes", what[0].encode()]
    elif kind == "add":
        pair = [[1, "bytes", what[0].encode()], [2, "bytes", what[1].encode()]]
        tensor.insert(entries[-1] + 1, [_ENTRY, "message", pair])
    elif kind == "drop":
        del tensor[entries[what[0] % len(entries)]]
    elif kind == "turn":
        index = entries[what[0] % len(entries)]
        tensor[index] = [_ENTRY, "message", tensor[index][2][::-1]]
    elif kind == "field":
        tensor.append([0, "raw", what[0]])
    elif kind == "ways":
        index = [*entries, len(tensor) - 1][what[0] % (len(entries) + 1)]
        tensor[index] = [*tensor[index][:3], what[1]]
    else:
        other = tensors[what[0] % len(tensors)]
        if other is not tensor:
            tensor[:] = [field for field in tensor if field[0] != _ENTRY]
            tensor += [field for field in other if field[0] == _ENTRY]

"""`export` and `save` onto what is there: only what they wrote themselves, and nothing else in it, is replaced."""

from __future__ import annotations

import json
import os
import random
import shutil
from pathlib import Path
from typing import Any

import sestina
from fuzz.command import tree
from fuzz.core import Fault, Recipe
from fuzz.oracle import Refused, attempt
from fuzz.world import World

SECONDS = 60
HEAVY = True
# What a manifest.json that is not ours says.
_MANIFESTS = (
    '{"manifest_version": 3, "name": "An extension"}', "{}", "[]", "", "not json", '{"format": "other"}', '{"format": ["sestina"]}', "null",
    '{"format": "sestina"}', '{"format": "sestina", "format_version": 1, "files": []}', '{"name": "sestina", "format": null}',
)  # fmt: skip
# What a user put into a bundle, or did to it.
_OWN = (
    "notes.txt", ".hidden", "folder/notes.txt", "link", "cpu-fp32.onnx.bak", "LICENSE2", "empty-folder", "MANIFEST.JSON", "fifo", ".git/config",
    "tokenizer.json~", "edited README.md", "edited LICENSE", "removed LICENSE",
)  # fmt: skip


def generate(rng: random.Random, world: World) -> Recipe:
    sort = rng.choice(("foreign", "foreign", "own", "own", "own", "bundle", "checkpoint", "late"))
    recipe: Recipe = {"sort": sort, "link": rng.random() < 0.2}
    if sort == "foreign":
        recipe["manifest"] = rng.choice(_MANIFESTS)
        recipe["files"] = rng.sample(
            ("popup.js", "cpu-fp32.onnx", "tokenizer.json", "icons/icon.png"), rng.choice((0, 1, 3))
        )
    if sort in ("own", "late", "checkpoint"):
        recipe["own"] = [rng.choice(_OWN) for _ in range(rng.choice((1, 1, 2)))]
    if sort == "late":
        recipe["step"] = rng.randrange(4)
    return recipe


def check(recipe: Recipe, world: World, scratch: Path) -> str:
    import torch

    from sestina_export import export
    from sestina_model import checkpoint

    torch.set_num_threads(1)
    out, sort = scratch / "out.sestina", recipe["sort"]
    if sort == "foreign":
        out.mkdir()
        (out / "manifest.json").write_text(recipe["manifest"])
        for name in recipe["files"]:
            (out / name).parent.mkdir(exist_ok=True)
            (out / name).write_text("a user's own\n")
    else:
        shutil.copytree(world.folder / "own" if sort == "checkpoint" else world.bundle("bpe"), out)
    # A file that was listed and is edited or gone is a bundle still, if a damaged one.
    harmless = ("edited", "removed")
    precious = [name for name in recipe.get("own", ()) if not name.startswith(harmless)]
    if sort in ("own", "checkpoint"):
        for name in recipe["own"]:
            _put(out, name)
    before = tree(out)
    given = out
    if recipe["link"]:
        given = scratch / "link.sestina"
        given.symlink_to(out)
    steps: list[str] = []

    def progress(line: str) -> None:
        if sort == "late" and len(steps) == recipe["step"]:
            for name in precious:
                _put(out, name)
            before.update(tree(out))
        steps.append(line)

    source = checkpoint.load(world.folder / "own")
    call: Any = lambda: export(source, given, precisions=["fp32"], overwrite=True, progress=progress)  # noqa: E731
    if sort == "checkpoint":
        call = lambda: checkpoint.save(source, given)  # noqa: E731
    found = attempt(call)
    after = tree(out) if out.exists() else {}
    if left := [each.name for each in scratch.iterdir() if each.name.startswith(".")]:
        raise Fault("a temporary folder is left", str(left))
    if isinstance(found, Refused):
        if before != after:
            raise Fault("refused, and yet something changed", str(before.keys() ^ after.keys()))
        if sort == "bundle" or (sort == "own" and not precious):
            raise Fault("a bundle is not replaced, though that was asked for", found.said)
        return "refused"
    if sort == "foreign" or precious:
        raise Fault(f"a folder was replaced that held a user's own: {sort}", str(recipe))
    if sort != "checkpoint":
        with sestina.load(given) as encoder:
            if (
                not encoder.verify().passed
                or json.loads((out / "manifest.json").read_text())["name"] != "tiny"
            ):
                raise Fault("what was put in place does not verify", "")
    return "right"


def _put(out: Path, name: str) -> None:
    kind, _, file = name.partition(" ")
    if kind == "edited" and (out / file).exists():
        (out / file).write_text("edited by the user\n")
    elif kind == "removed":
        (out / file).unlink(missing_ok=True)
    elif name == "link":
        (out / name).symlink_to("/etc/hostname")
    elif name == "fifo":
        os.mkfifo(out / name)
    elif name == "empty-folder":
        (out / name).mkdir()
    elif kind not in ("edited",):
        (out / name).parent.mkdir(exist_ok=True)
        (out / name).write_text("a user's own\n")

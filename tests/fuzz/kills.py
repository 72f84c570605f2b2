"""Commands ended at any moment: the old output or the whole new one, and nothing beside it."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import time
from pathlib import Path

import numpy as np

import sestina
from fuzz.command import Tree, started, tree
from fuzz.core import Fault, Recipe
from fuzz.oracle import near
from fuzz.world import World

SECONDS = 240  # of a busy machine: an export imports torch first
_COUNT = 3000  # texts, so that writing takes a while
_SIGNALS = ("SIGKILL", "SIGKILL", "SIGTERM", "SIGTERM", "SIGHUP", "SIGINT")
_OUTPUTS = ("out.npy", "out.npy", "out.jsonl", "page.html", "out.sestina", "maps.png")
# A user's own, however much their names look like ours. They stay.
_DECOYS = (".sestina-notes.tmp", ".sestina-0123456789ab.tmp.txt", ".out.sestina.backup.new", ".out.npy.new")


def generate(rng: random.Random, world: World) -> Recipe:
    return {
        "output": rng.choice(_OUTPUTS),
        "old": rng.random() < 0.5,
        "signal": rng.choice(_SIGNALS),
        "twice": rng.random() < 0.15,
        # Milliseconds from the beginning, or from when something new lies beside the output.
        "when": rng.choice(("temporary", "temporary", "temporary", "begin")),
        "delay_ms": rng.choice((0, 1, 5, 20, 60, 150, 400, 1000, 2500)),
    }


def check(recipe: Recipe, world: World, scratch: Path) -> str:
    name = recipe["output"]
    lines = [f"text {at} of a sequence of words" for at in range(_COUNT)]
    (scratch / "in.txt").write_text("\n".join(lines) + "\n")
    place = scratch / "there"
    place.mkdir()
    for decoy in _DECOYS:
        (place / decoy).write_text("a user's own\n")
    argv = _argv(name, world)
    if recipe["old"]:
        _old(place / name, world)
    before = tree(place)
    for each in {*_SIGNALS} - {"SIGKILL"}:  # nohup and shells have some ignored, and commands respect that
        signal.signal(getattr(signal, each), signal.SIG_DFL)
    process = started(argv, cwd=scratch, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    _await(recipe, process, place, set(place.iterdir()))
    number = getattr(signal, recipe["signal"])
    for _ in range(2 if recipe["twice"] else 1):
        if process.poll() is None:
            process.send_signal(number)
    try:
        _, err = process.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise Fault(f"{recipe['signal']} does not end a command", str(recipe)) from None
    # An interrupt may come before Python has come to the command at all: then it is Python's own to tell.
    early = recipe["when"] == "begin" and err.rstrip().endswith(b"KeyboardInterrupt")
    if b"Traceback" in err and not (early and b"sestina/_" not in err):
        raise Fault(f"{recipe['signal']} gives a traceback", err.decode(errors="replace")[-300:])
    after = tree(place)
    _old_or_new(recipe, before, after, place, world)
    if recipe["signal"] != "SIGKILL":
        left = _temporary(before, after)
        if left:
            raise Fault(f"{recipe['signal']} leaves what is temporary", str(left))
        return "right"
    ended = subprocess.run([*_python(), *argv], cwd=scratch, capture_output=True, timeout=60)
    if ended.returncode:
        raise Fault("what a killed command left stops the next", ended.stderr.decode(errors="replace")[-300:])
    if left := _temporary(before, tree(place)):
        raise Fault("what a killed command left is never swept", str(left))
    _whole(name, place, world)
    return "right"


def _python() -> list[str]:
    import sys

    return [sys.executable, "-m", "sestina"]


def _argv(name: str, world: World) -> list[str]:
    bundle, out = str(world.bundle("bpe")), f"there/{name}"
    if name.endswith(".sestina"):
        return ["export", str(world.checkpoint("own")), out, "--precision", "fp32", "--overwrite"]
    if name.endswith(".html"):
        return ["explain", bundle, "model " * 60, "--output", out]
    if name.endswith(".png"):
        return ["explain", bundle, "model " * 60, "--png", out, "--output", "there/with.json"]
    return ["encode", bundle, "--input", "in.txt", "--output", out]


def _old(path: Path, world: World) -> None:
    if path.suffix == ".sestina":
        import shutil

        shutil.copytree(world.bundle("bpe"), path)
    else:
        path.write_bytes(b"what was there before\n")


def _await(recipe: Recipe, process: subprocess.Popen[bytes], place: Path, there: set[Path]) -> None:
    end = time.monotonic() + 40
    while recipe["when"] == "temporary" and process.poll() is None and time.monotonic() < end:
        if set(place.iterdir()) - there:
            break
        time.sleep(0.001)
    time.sleep(recipe["delay_ms"] / 1000)


def _temporary(before: Tree, after: Tree) -> list[str]:
    return [name for name in after.keys() - before.keys() if name.startswith(".")]


def _old_or_new(recipe: Recipe, before: Tree, after: Tree, place: Path, world: World) -> None:
    name = recipe["output"]
    for decoy in _DECOYS:
        if before[decoy] != after.get(decoy):
            raise Fault("a user's own file is swept", decoy)
    one = {path: what for path, what in before.items() if path == name or path.startswith(name + "/")}
    other = {path: what for path, what in after.items() if path == name or path.startswith(name + "/")}
    if one == other or (not other and name.endswith(".sestina")):
        return  # between two renames a folder may be absent: what it was lies beside it
    if not other:
        raise Fault("the old output is gone", name)
    _whole(name, place, world)


def _whole(name: str, place: Path, world: World) -> None:
    path = place / name
    if name.endswith(".sestina"):
        with sestina.load(path) as encoder:
            if not encoder.verify().passed:
                raise Fault("a bundle was put in place that does not verify", name)
        return
    if name.endswith((".html", ".png")):
        content = path.read_bytes()
        if not content.rstrip().endswith(b"</html>" if name.endswith(".html") else b"IEND\xaeB`\x82"):
            raise Fault("half a file was put in place", f"{name}: {content[-60:]!r}")
        return
    if name.endswith(".npy"):
        rows = np.load(path)
    else:
        rows = np.array([json.loads(line)["vector"] for line in path.read_text().splitlines()])
    if rows.shape != (_COUNT, 32):
        raise Fault("half a file was put in place", f"{name}: {rows.shape}")
    with sestina.load(world.bundle("bpe")) as encoder:
        near(
            rows[-1],
            encoder.encode(f"text {_COUNT - 1} of a sequence of words"),
            "the last vector written",
            1e-6,
        )

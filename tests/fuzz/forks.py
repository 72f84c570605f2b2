"""Forks at every moment: the child loads anew, or is told at once that it must; the parent goes on."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

from fuzz.core import Fault, Recipe
from fuzz.oracle import near
from fuzz.references import Reference
from fuzz.world import World

SECONDS = 70
# What the parent is doing, what the child does with what it inherits, and how the child ends.
_STATES = (
    "loaded",
    "one",
    "list",
    "stream-begun",
    "stream-second-window",
    "stream-nearly-done",
    "stream-other-thread",
    "list-other-thread",
    "closed",
    "closing",
    "explained",
)
_USES = (
    "one",
    "list",
    "stream",
    "tokenize",
    "next",
    "rest",
    "explain",
    "verify",
    "report",
    "close",
    "load-own",
    "drop",
    "gc",
    "twice",
)
_ENDS = ("exit", "return", "os._exit")
_TEXTS = ("the transformer is a model", "tokens of a sequence", "a text", "model " * 30)


def generate(rng: random.Random, world: World) -> Recipe:
    return {
        "state": rng.choice(_STATES),
        "uses": [rng.choice(_USES) for _ in range(rng.choice((1, 1, 2, 3)))],
        "end": rng.choice(_ENDS),
        "threads": rng.choice((1, 2)),
        "count": rng.choice((300, 1280, 1300, 3000)),
        "way": rng.choice(("os.fork", "os.fork", "multiprocessing")),
        "on_fork": rng.choice(("reload", "error")),
    }


_PROGRAM = """
import faulthandler, gc, itertools, json, multiprocessing, os, signal, sys, threading, time, warnings
warnings.simplefilter("ignore")
import sestina
bundle, recipe, texts = sys.argv[1], json.loads(sys.argv[2]), json.loads(sys.argv[3])
many = [f"{texts[at % len(texts)]} {at} " + "of many words " * 15 for at in range(recipe["count"])]
on_fork = recipe.get("on_fork", "error")
encoder = sestina.load(bundle, precision="fp32", threads=recipe["threads"], on_fork=on_fork)
state, flow, busy = recipe["state"], None, None
taken = []
if state == "one":
    encoder.encode(texts[0])
elif state == "list":
    encoder.encode(texts)
elif state == "explained":
    encoder.explain(texts[0])
elif state.startswith("stream") and not state.endswith("thread"):
    flow = encoder.stream(iter(many))
    first = {"stream-begun": 1, "stream-second-window": 257, "stream-nearly-done": len(many) - 3}[state]
    taken = list(itertools.islice(flow, min(first, len(many) - 1)))
elif state.endswith("thread"):
    call = (lambda: taken.extend(encoder.stream(iter(many)))) if state.startswith("stream") else (lambda: taken.extend(encoder.encode(many)))
    busy = threading.Thread(target=call)
    busy.start()
    time.sleep(0.01)
elif state == "closed":
    encoder.close()
elif state == "closing":
    busy = threading.Thread(target=encoder.close)
    busy.start()

def use(name):
    global encoder, flow
    if name == "one": return encoder.encode(texts[0])
    if name == "list": return encoder.encode(texts)
    if name == "stream": return list(encoder.stream(iter(texts)))
    if name == "next": return next(flow) if flow else None
    if name == "rest": return list(flow) if flow else None
    if name == "close": return encoder.close()
    if name == "gc": return gc.collect() and None
    if name == "report": return encoder.report() and None
    if name == "verify": return encoder.verify()
    if name == "load-own":
        with sestina.load(bundle, precision="fp32", threads=recipe["threads"]) as own:
            return own.encode(texts).tolist()
    if name == "drop":
        encoder = flow = None
        return gc.collect() and None
    if name == "twice":
        child = os.fork()
        if not child:
            os._exit(0)
        os.waitpid(child, 0)
        return None
    return getattr(encoder, name)(texts[0])

FREE = {"close", "gc", "drop", "twice", "report", "load-own"}
def child():
    told = []
    for name in recipe["uses"]:
        if encoder is None and name != "load-own":
            continue
        try:
            found = use(name)
        except (sestina.ForkError, sestina.ClosedError) as error:
            told.append([name, type(error).__name__])
        except BaseException as error:
            told.append([name, f"wrong: {type(error).__name__}: {error}"])
        else:
            if name in ("next", "rest") and found is not None:
                rows = [found] if name == "next" else found
                told.append([name, "kept", len(taken), [row.tolist() for row in rows]])
                taken.extend(rows)
            elif name == "load-own":
                told.append([name, "own", 0, found])
            elif on_fork == "reload" and name in ("one", "list", "stream"):
                rows = [found] if name == "one" else list(found)
                told.append([name, "own", 0, [row.tolist() for row in rows]])
            elif on_fork == "reload":
                told.append([name, "free"])
            else:
                told.append([name, "free" if name in FREE or found is None else "wrong: it gives a result"])
    open("child.json", "w").write(json.dumps(told))

if recipe["way"] == "os.fork":
    pid = os.fork()
    if not pid:
        child()
        if recipe["end"] == "os._exit":
            os._exit(0)
        if recipe["end"] == "exit":
            sys.exit(0)
        busy = None
        raise SystemExit
else:
    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    pid = process.pid
end = time.monotonic() + 20
status = None
while time.monotonic() < end:
    if recipe["way"] != "os.fork":
        process.join(0.01)
        if process.exitcode is not None:
            status = process.exitcode
            break
    else:
        ended, code = os.waitpid(pid, os.WNOHANG)
        if ended:
            status = os.waitstatus_to_exitcode(code)
            break
        time.sleep(0.01)
if status is None:
    os.kill(pid, signal.SIGKILL)
rows = []
if state not in ("closed", "closing"):
    if flow is not None:
        taken += list(flow)
    if busy is not None:
        busy.join()
    rows = encoder.encode(texts).tolist()
open("parent.json", "w").write(json.dumps({"status": status, "rows": rows, "taken": [row.tolist() for row in taken], "many": many if taken else []}))
"""


def check(recipe: Recipe, world: World, scratch: Path) -> str:
    bundle = world.bundle("bpe")
    argv = [sys.executable, "-c", _PROGRAM, str(bundle), json.dumps(recipe), json.dumps(_TEXTS)]
    try:
        ended = subprocess.run(argv, cwd=scratch, capture_output=True, timeout=45)
    except subprocess.TimeoutExpired:
        raise Fault("the parent of a fork does not end", str(recipe)) from None
    if ended.returncode or b"Error" in ended.stderr:
        raise Fault(
            f"the parent of a fork ends with {ended.returncode}", ended.stderr.decode(errors="replace")[-300:]
        )
    parent = json.loads((scratch / "parent.json").read_text())
    if parent["status"] is None:
        raise Fault(f"a forked child does not end: {recipe['state']}", str(recipe))
    if parent["status"]:
        raise Fault(
            f"a forked child ends with {parent['status']}", ended.stderr.decode(errors="replace")[-300:]
        )
    reference = Reference(bundle)
    if parent["rows"]:
        near(parent["rows"], [reference.of(text) for text in _TEXTS], "the parent's vectors after a fork")
    if len(parent["taken"]) != len(parent["many"]):
        raise Fault("the parent's stream lost vectors", f"{len(parent['taken'])} of {len(parent['many'])}")
    for at in range(0, len(parent["taken"]), 97):
        near(parent["taken"][at], reference.of(parent["many"][at]), "the parent's stream after a fork")
    told = json.loads((scratch / "child.json").read_text())
    many = [f"{_TEXTS[at % len(_TEXTS)]} {at} " + "of many words " * 15 for at in range(recipe["count"])]
    for name, what, *kept in told:
        if what.startswith("wrong"):
            raise Fault(f"a child's {name} is {what[:60]}", str(recipe))
        if what == "own":
            right = [reference.of(text) for text in _TEXTS[: len(kept[1])]]
            near(kept[1], right, "the vectors of a child's own encoder")
        if what == "kept":  # made before the fork, and right
            begin, rows = kept
            right = [reference.of(text) for text in many[begin : begin + len(rows)]]
            near(rows, right, "what a child still had of its parent's stream")
            if name == "rest" and begin + len(rows) != len(many):
                raise Fault("a child's stream ends early", f"{begin + len(rows)} of {len(many)}")
    return "refused" if all(what.endswith("Error") for _, what, *_ in told) else "right"

"""Many threads on one encoder; bundles replaced under it; a main thread that has ended."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import sestina
from fuzz.core import Fault, Recipe
from fuzz.oracle import Refused, near, ours
from fuzz.references import Reference
from fuzz.world import World

SECONDS = 60
_OPERATIONS = ("one", "list", "stream", "states", "explain", "tokenize", "verify", "report", "similarity")
_EVENTS = ("rename", "remove", "chdir", "empty", "rename-twice")
_PROGRAMS = (
    "consumer",
    "consumer-list",
    "daemon",
    "many",
    "at-exit",
    "unused",
    "stream-left",
    "executor",
    "close-late",
)
_TEXTS = (
    "the transformer is a model",
    "a",
    "tokens of a sequence",
    "model " * 40,
    "one more text, of words",
    "注意力",
)


def generate(rng: random.Random, world: World) -> Recipe:
    sort = rng.choice(("crowd", "crowd", "replaced", "replaced", "program"))
    if sort == "program":
        return {
            "sort": sort,
            "program": rng.choice(_PROGRAMS),
            "threads": rng.choice((1, 2)),
            "texts": rng.choice((1, 3, 700)),
        }
    operations = [rng.choice(_OPERATIONS) for _ in range(rng.choice((2, 4, 8)))]
    recipe: Recipe = {"sort": sort, "operations": operations, "threads": rng.choice((1, 2, 3))}
    if sort == "crowd":
        return {**recipe, "rounds": rng.choice((1, 3)), "close": rng.choice((None, None, 0.0, 0.002, 0.02))}
    recipe.update(
        event=rng.choice(_EVENTS), relative=rng.random() < 0.4, first=rng.choice((None, "one", "list"))
    )
    return recipe


def check(recipe: Recipe, world: World, scratch: Path) -> str:
    if recipe["sort"] == "program":
        return _program(recipe, world, scratch)
    place = scratch / "used.sestina"
    shutil.copytree(world.bundle("bpe"), place)
    reference = Reference(world.bundle("bpe"))
    os.chdir(scratch)
    path = Path("used.sestina") if recipe.get("relative") else place
    encoder = sestina.load(path, precision="fp32", threads=recipe["threads"])
    if recipe["sort"] == "crowd":
        return _crowd(recipe, encoder, reference)
    if recipe["first"]:
        _operate(encoder, recipe["first"], reference)
    _happen(recipe["event"], place, world)
    with encoder:
        for operation in recipe["operations"]:
            found = _operate(encoder, operation, reference)
            # To verify is to read the files, and says so where they are gone.
            if isinstance(found, Refused) and operation != "verify":
                raise Fault(f"after {recipe['event']} {operation} fails", str(found))
    return "right"


def _happen(event: str, place: Path, world: World) -> None:
    """What a deployment does to the bundle meanwhile. The other one has the same size, name and interface."""
    if event == "chdir":
        os.chdir("/")
    elif event == "remove":
        shutil.rmtree(place)
    elif event == "empty":
        shutil.rmtree(place)
        place.mkdir()
    else:
        for turn in range(2 if event == "rename-twice" else 1):
            new = place.with_name(f"new-{turn}")
            shutil.copytree(world.bundle("bpe"), new)
            _reweighted(new)
            place.rename(place.with_name(f"old-{turn}"))
            new.rename(place)


def _reweighted(bundle: Path) -> None:
    """Another model: every weight is another, the vectors of all texts too."""
    import onnx

    from fuzz.bundles import listed, put

    model = onnx.load_model_from_string((bundle / "cpu-fp32.onnx").read_bytes())
    for tensor in model.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT and tensor.raw_data:
            values = np.frombuffer(tensor.raw_data, dtype="<f4")
            tensor.raw_data = values[::-1].tobytes()
    put(bundle / "cpu-fp32.onnx", model.SerializeToString())
    listed(bundle, "cpu-fp32.onnx")


def _operate(encoder: sestina.Encoder, operation: str, reference: Reference) -> Any:
    """One use, held to its right result. Returns: the refusal, or None."""
    texts = list(_TEXTS)
    calls: dict[str, Callable[[], Any]] = {
        "one": lambda: [encoder.encode(text) for text in texts],
        "list": lambda: encoder.encode(texts * 30)[-len(texts) :],
        "stream": lambda: list(encoder.stream(iter(texts * 60)))[-len(texts) :],
        "states": lambda: encoder.hidden_states(texts)[0],
        "explain": lambda: [encoder.explain(text).vector for text in texts],
        "tokenize": lambda: [list(encoder.tokenize(text).ids) for text in texts],
        "verify": lambda: encoder.verify().passed,
        "report": lambda: encoder.report().precision,
        "similarity": lambda: encoder.similarity(texts[0], texts)[0, 0],
    }
    try:
        found = calls[operation]()
    except BaseException as error:  # noqa: BLE001  held to be ours
        return ours(error)
    if operation in ("one", "list", "stream", "explain"):
        near(np.array(found), np.array([reference.of(text) for text in texts]), f"vectors by {operation}")
    elif operation == "tokenize" and found != [reference.ids(text) for text in texts]:
        raise Fault("ids other than the library's", str(found)[:200])
    elif operation == "states" and found.shape != (len(reference.ids(texts[0])), reference.d_model):
        raise Fault("states of another shape", str(found.shape))
    elif operation == "verify" and found is not True:
        raise Fault("verify fails on what was loaded", str(found))
    elif operation == "similarity" and abs(found - 1) > 1e-5:
        raise Fault("a text is not similar to itself", str(found))
    return None


def _crowd(recipe: Recipe, encoder: sestina.Encoder, reference: Reference) -> str:
    """All operations at once, and perhaps a close among them."""
    problems: list[BaseException] = []
    refusals: list[Refused] = []
    begin = threading.Barrier(len(recipe["operations"]) + 1)

    def work(operation: str) -> None:
        begin.wait()
        try:
            found = [_operate(encoder, operation, reference) for _ in range(recipe["rounds"])]
            refusals.extend(each for each in found if each is not None)
        except BaseException as error:  # noqa: BLE001  told by the thread that waits
            problems.append(error)

    threads = [
        threading.Thread(target=work, args=(operation,), daemon=True) for operation in recipe["operations"]
    ]
    for thread in threads:
        thread.start()
    begin.wait()
    if recipe["close"] is not None:
        threading.Event().wait(recipe["close"])
        encoder.close()
    for thread in threads:
        thread.join(40)
        if thread.is_alive():
            raise Fault("a thread does not end", str(recipe))
    if problems:
        raise problems[0]
    closed = recipe["close"] is not None
    if refused := [each for each in refusals if not closed or each.kind != "ClosedError"]:
        raise Fault("a thread is refused", str(refused[0]))
    return "right"


# Programs of their own, for what happens when one ends. Each writes its vectors, or the error, to out.json.
_HEAD = """
import atexit, concurrent.futures, json, sys, threading, time
import sestina
encoder = sestina.load(sys.argv[1], precision="fp32", threads=int(sys.argv[2]))
texts = json.loads(sys.argv[3])
def tell(rows):
    open("out.json", "w").write(json.dumps([[float(x) for x in row] for row in rows]))
def guarded(call):
    def run(*args):
        try:
            tell(call(*args))
        except BaseException as error:
            open("out.json", "w").write(json.dumps(f"{type(error).__name__}: {error}"))
    return run
def late(call):
    def run():
        threading.main_thread().join()
        time.sleep(0.05)
        return call()
    return guarded(run)
"""
_BODIES = {
    "consumer": "threading.Thread(target=late(lambda: list(encoder.stream(iter(texts))))).start()",
    "consumer-list": "threading.Thread(target=late(lambda: encoder.encode(texts))).start()",
    "many": "for _ in range(4): threading.Thread(target=late(lambda: encoder.encode(texts))).start()",
    "executor": "pool = concurrent.futures.ThreadPoolExecutor(2)\npool.submit(guarded(lambda: encoder.encode(texts)))",
    "at-exit": "atexit.register(guarded(lambda: encoder.encode(texts)))",
    "unused": "tell(encoder.encode(texts))",
    "stream-left": "flow = encoder.stream(iter(texts * 50))\nfirst = [next(flow) for _ in texts]\ntell(first)",
    "daemon": "tell(encoder.encode(texts))\nthreading.Thread(target=lambda: list(encoder.stream(iter(texts * 5000))), daemon=True).start()\ntime.sleep(0.05)",
    "close-late": "encoder.encode(texts)\nthreading.Thread(target=late(lambda: [encoder.encode(texts), encoder.close()][0])).start()",
}


def _program(recipe: Recipe, world: World, scratch: Path) -> str:
    texts = (list(_TEXTS) * 200)[: recipe["texts"]]
    argv = [
        sys.executable,
        "-c",
        _HEAD + _BODIES[recipe["program"]],
        str(world.bundle("bpe")),
        str(recipe["threads"]),
        json.dumps(texts),
    ]
    what = f"a program ({recipe['program']})"
    try:
        ended = subprocess.run(argv, cwd=scratch, capture_output=True, timeout=25)
    except subprocess.TimeoutExpired:
        raise Fault(f"{what} does not end", str(recipe)) from None
    # A daemon thread that is still at work then is told so, and nobody in it catches that.
    told = recipe["program"] == "daemon" and b"Python is ending" in ended.stderr
    if ended.returncode or (ended.stderr and not told):
        raise Fault(f"{what} ends with {ended.returncode}", ended.stderr.decode(errors="replace")[-300:])
    rows = json.loads((scratch / "out.json").read_text())
    if isinstance(rows, str):
        # While the interpreter itself shuts down no thread can be started: an error of ours may say so.
        if recipe["program"] == "at-exit" and rows.startswith(("ClosedError", "SestinaError")):
            return "refused"
        raise Fault(f"{what} has no vectors", rows)
    reference = Reference(world.bundle("bpe"))
    near(rows, [reference.of(text) for text in texts], f"vectors of {what}")
    return "right"

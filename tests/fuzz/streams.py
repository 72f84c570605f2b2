"""Standard streams, signals of the system's and limits, in an interpreter of its own."""

from __future__ import annotations

import contextlib
import json
import os
import random
import resource
import subprocess
from pathlib import Path
from typing import Any

from fuzz.arguments import furnished
from fuzz.command import Ended, environment, held, kept, started, tree
from fuzz.core import Fault, Recipe
from fuzz.world import World

SECONDS = 90
_COMMANDS = (
    ("encode", "bundle.sestina", "a text"),
    ("encode", "bundle.sestina"),
    ("encode", "bundle.sestina", "--input", "-", "--output", "new.npy"),
    ("encode", "bundle.sestina", "--input", "in.txt", "--output", "old.npy", "--json"),
    ("encode", "bundle.sestina", "--input", "fifo", "--output", "new.jsonl"),
    ("encode", "bundle.sestina", "a text", "--format", "npy"),
    ("similar", "bundle.sestina", "a", "b"),
    ("search", "bundle.sestina", "a", "--in", "in.txt"),
    ("search", "bundle.sestina", "a", "--in", "-"),
    ("tokenize", "bundle.sestina", "a"),
    ("explain", "bundle.sestina", "a", "--output", "-"),
    ("explain", "bundle.sestina", "a"),
    ("verify", "bundle.sestina"),
    ("inspect", "bundle.sestina", "--json"),
    ("providers",),
    ("--version",),
    ("--help",),
    ("encode", "--help"),
    (),
)
_STDIN = (
    "closed",
    "null",
    "text",
    "text",
    "latin",
    "endless-line",
    "directory",
    "no-end",
    "nul",
    "pipe-closed",
)
_STDOUT = ("closed", "full", "pipe", "pipe", "pipe", "reader-gone", "file")
_STDERR = ("closed", "full", "pipe", "pipe", "pipe", "reader-gone")
_ENVIRONMENTS = (
    {}, {}, {}, {"LC_ALL": "C"}, {"PYTHONIOENCODING": "ascii"}, {"PYTHONUTF8": "0", "LC_ALL": "POSIX"}, {"PYTHONUNBUFFERED": "1"},
    {"HOME": "/nowhere"}, {"HOME": None, "PATH": None}, {"TMPDIR": "/nowhere"}, {"PYTHONWARNINGS": "error"}, {"COLUMNS": "1"}, {"COLUMNS": "x"},
    {"PYTHONOPTIMIZE": "2"}, {"SESTINA_DEBUG": ""}, {"NO_COLOR": "1", "TERM": "dumb"}, {"PYTHONIOENCODING": "utf-16"},
)  # fmt: skip


def generate(rng: random.Random, world: World) -> Recipe:
    stdin = rng.choice(_STDIN)
    return {
        "argv": list(rng.choice(_COMMANDS)),
        "stdin": stdin,
        "stdout": rng.choice(_STDOUT),
        "stderr": rng.choice(_STDERR),
        "environment": rng.choice(_ENVIRONMENTS),
        "memory_mb": 700 if stdin == "endless-line" else rng.choice((None, None, None, 700)),
    }


def check(recipe: Recipe, world: World, scratch: Path) -> str:
    furnished(scratch, world)
    argv = list(recipe["argv"])
    before = tree(scratch)
    with contextlib.ExitStack() as stack:
        feeds = _stdin(recipe["stdin"], scratch, stack)
        ends = {name: _sink(recipe[name], scratch, stack) for name in ("stdout", "stderr")}
        if "fifo" in argv:
            stack.callback(os.close, os.open(scratch / "fifo", os.O_RDWR | os.O_NONBLOCK))
            feeder = subprocess.Popen(["sh", "-c", "printf 'one\\ntwo\\n' > fifo"], cwd=scratch)
            stack.callback(feeder.wait)
            stack.callback(feeder.kill)

        def prepare() -> None:
            if recipe["memory_mb"]:
                limit = recipe["memory_mb"] << 20
                resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
            for number, name in enumerate(("stdin", "stdout", "stderr")):
                if recipe[name] == "closed":
                    os.close(number)

        process = started(
            argv, cwd=scratch, env=environment(recipe["environment"]), stdin=feeds, stdout=ends["stdout"], stderr=ends["stderr"], preexec_fn=prepare,
        )  # fmt: skip
        try:
            out, err = process.communicate(timeout=40)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            if recipe["stdin"] == "no-end" or "fifo" in argv:
                return "right"  # it waits for its input, as it must
            raise Fault("a command does not end", str(recipe)[:300]) from None
    _judge(recipe, argv, Ended(process.returncode, out or b"", err or b""))
    outputs = ["new.npy", "new.jsonl", "old.npy", "explain.html"]
    # A file may be in its place, whole, before standard output turns out not to take the news of it.
    unheard = recipe["stdout"] in ("closed", "full", "reader-gone")
    kept(before, tree(scratch), outputs, success=process.returncode == 0 or unheard)
    return "refused" if process.returncode else "right"


def _stdin(kind: str, scratch: Path, stack: contextlib.ExitStack) -> Any:
    if kind == "directory":
        return stack.enter_context(_opened(os.open(scratch / "folder", os.O_RDONLY)))
    if kind in ("no-end", "pipe-closed"):
        read, write = os.pipe()
        stack.callback(os.close, read)
        if kind == "pipe-closed":
            os.close(write)
        else:
            stack.callback(os.close, write)
        return read
    if kind == "endless-line":
        feeder = subprocess.Popen(["head", "-c", "1500000000", "/dev/zero"], stdout=subprocess.PIPE)
        stack.callback(feeder.wait)
        stack.callback(feeder.kill)
        return feeder.stdout
    content = {"text": b"one text\nanother\n", "latin": b"caf\xe9\n", "nul": b"a\0b\n"}.get(kind, b"")
    (scratch.parent / "stdin").write_bytes(content)
    return stack.enter_context((scratch.parent / "stdin").open("rb"))


def _sink(kind: str, scratch: Path, stack: contextlib.ExitStack) -> Any:
    if kind == "full":
        return stack.enter_context(_opened(os.open("/dev/full", os.O_WRONLY)))
    if kind == "reader-gone":
        read, write = os.pipe()
        os.close(read)
        return stack.enter_context(_opened(write))
    if kind == "file":
        return stack.enter_context((scratch.parent / "stdout").open("wb"))
    return subprocess.PIPE


@contextlib.contextmanager
def _opened(number: int) -> Any:
    yield number
    os.close(number)


def _judge(recipe: Recipe, argv: list[str], ended: Ended) -> None:
    codes = (0, 1, 2, 141)
    if recipe["stderr"] == "pipe":
        # The interpreter itself speaks where a stream is closed for it, or a variable is not one of Python's.
        held(ended, argv or ["sestina"], codes=codes)
    elif ended.code not in codes:
        raise Fault(f"exit code {ended.code} with stderr {recipe['stderr']}", str(recipe)[:300])
    if (
        recipe["stdout"] in ("full", "closed")
        and ended.code == 0
        and argv
        and argv[0] in ("similar", "inspect", "tokenize")
    ):
        raise Fault("facts that could not be written, and success", str(recipe)[:300])
    if ended.code == 0 and recipe["stdout"] == "pipe" and "--json" in argv:
        json.loads(ended.out)

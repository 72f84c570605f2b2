"""Arguments of the command line: odd values, odd paths, odd inputs, and everything that was there before kept."""

from __future__ import annotations

import itertools
import json
import os
import random
from pathlib import Path
from typing import Any

import numpy as np

import sestina
from fuzz.command import Tree, forked, held, kept, tree
from fuzz.core import Fault, Recipe
from fuzz.oracle import near
from fuzz.world import World

SECONDS = 45
_NUMBERS = (
    "0",
    "1",
    "2",
    "-1",
    "32",
    "33",
    "1e3",
    "x",
    "",
    "9" * 5000,
    "0x10",
    "٣",
    "1_0",
    " 1",
    "+2",
    "2147483648",
    "nan",
    "1.0",
    "²",
)
_VALUES = (
    "",
    "a",
    "a" * 5000,
    "a\nb",
    "\udcff",
    "-",
    "--",
    "é",
    "cpu",
    "cpu:x=1",
    "cpu:",
    "nowhere",
    ",",
    "qnn:{",
    "auto,cpu",
    "fp32",
    "fp64",
    "\x1b[31m",
)
_FILES = (
    "in.txt", "in.csv", "in.jsonl", "old.npy", "old.jsonl", "new.npy", "new.jsonl", "new.html", "old.html", "new.json", "new.png", "old.png",
    "nowhere/new.npy", "folder", "folder/new.npy", "loop", "loop.npy", "loop.png", "loop.html", "dangling.npy", "link.npy", "fifo", "empty", "binary", "latin.txt",
    "", ".", "/", "-", "a" * 300 + ".npy", "/dev/null", "/dev/full", "in.txt/x.npy", "x\n.npy", "\udcff.npy", "~", "surrogates.jsonl", "quotes.csv", "bom.txt",
    "bundle.sestina", "bundle.sestina/manifest.json", "bundle.sestina/tokenizer.json", "secret", "NEW.NPY", "new.npy.tmp",
)  # fmt: skip
_WORDS = (
    "a text",
    "the transformer",
    "",
    "-x",
    "--",
    "models/minilm",
    "bundle.sestina",
    "./a",
    "/a b",
    "\udcff",
    "a\nb",
    "x " * 3000,
    "é",
    "\x00"[:0] + "nul",
)
_COMMANDS: dict[str, tuple[str, ...]] = {
    "encode": (
        "--input",
        "--field",
        "--column",
        "--output",
        "--format",
        "--no-text",
        "--delimiter",
        "--overwrite",
        "--vector-column",
        "--shard-rows",
        "--dimensions",
        "--on-truncate",
        "--on-null",
        "--on-empty",
        "--output-dtype",
        "--json",
    ),
    "similar": ("--dimensions", "--on-truncate", "--on-empty", "--json"),
    "search": (
        "--in",
        "--texts",
        "--field",
        "--column",
        "--delimiter",
        "--top",
        "--dimensions",
        "--on-truncate",
        "--on-null",
        "--on-empty",
        "--json",
    ),
    "tokenize": ("--json",),
    "explain": ("--output", "--png", "--json", "--on-truncate"),
    "verify": ("--json",),
    "inspect": ("--json",),
    "providers": ("--json",),
}
_RUNTIME = ("--provider", "--precision", "--threads", "--max-memory-mb", "--strict", "--cache-dir")
_FLAGS = ("--no-text", "--overwrite", "--json", "--strict")
_SANE: dict[str, tuple[str, ...]] = {
    "--input": ("in.txt", "in.csv", "in.jsonl", "-", "bom.txt", "empty", "quotes.csv"),
    "--in": ("in.txt", "old.npy", "old.jsonl", "in.csv"),
    "--texts": ("in.txt",),
    "--field": ("text", "number", "missing"),
    "--column": ("text", "1", "2", "0", "9"),
    "--delimiter": (";", ",", "\\t"),
    "--vector-column": ("vector",),
    "--output": ("new.npy", "new.jsonl", "old.npy", "link.npy", "new.html", "old.html", "new.json"),
    "--png": ("new.png", "old.png"),
    "--format": ("npy", "jsonl"),
    "--on-truncate": ("warn", "ignore", "error"),
    "--on-null": ("error", "zero"),
    "--on-empty": ("zero", "warn", "error"),
    "--output-dtype": ("float32", "float16", "int8", "binary"),
    "--provider": ("cpu", "auto"),
    "--precision": ("fp32", "auto", "int8"),
}
_NUMERIC = ("--dimensions", "--shard-rows", "--top", "--threads", "--max-memory-mb", "--column")
_NAMED = ("--input", "--in", "--texts", "--output", "--png", "--cache-dir")


def generate(rng: random.Random, world: World) -> Recipe:
    command = rng.choice(list(_COMMANDS))
    odd = rng.choice((0.0, 0.1, 0.4))
    options = rng.sample((*_COMMANDS[command], *_RUNTIME), rng.choice((0, 1, 2, 3)))
    if command == "search" and "--in" not in options and rng.random() < 0.95:
        options.append("--in")
    argv: list[str] = []
    for option in options:
        argv.append(option)
        if option not in _FLAGS:
            argv.append(_value(rng, option, odd))
    words = [
        rng.choice(_WORDS) if rng.random() < odd else rng.choice(_WORDS[:2])
        for _ in range(_count(rng, command))
    ]
    if rng.random() < 0.9:
        words.insert(0, "bundle.sestina")
    if rng.random() < odd / 2:
        argv.insert(
            rng.randrange(len(argv) + 1),
            rng.choice((*_VALUES, *_COMMANDS, "--help", "--nothing", "--output")),
        )
    argv = [*words, *argv] if rng.random() < 0.7 else [*argv, *words]
    return {
        "argv": [command, *argv],
        "stdin": rng.choice(("", "", "a piped text\n", "one\ntwo", "\ud800", "\n\n")),
    }


def _count(rng: random.Random, command: str) -> int:
    usual = {"encode": (0, 1, 2), "similar": (2, 3), "search": (1,), "tokenize": (1,), "explain": (1,)}.get(
        command, (0,)
    )
    return rng.choice(usual) if rng.random() < 0.9 else rng.choice((0, 1, 3))


def _value(rng: random.Random, option: str, odd: float) -> str:
    if rng.random() < odd:
        pool = _FILES if option in _NAMED else _NUMBERS if option in _NUMERIC else _VALUES
        return rng.choice(pool if rng.random() < 0.8 else _VALUES)
    if option in _SANE:
        return rng.choice(_SANE[option])
    return rng.choice(("1", "2", "16")) if option in _NUMERIC else "cache"


def furnished(place: Path, world: World) -> None:
    """A folder with a bundle and files of every kind."""
    (place / "bundle.sestina").symlink_to(world.bundle("wordpiece"))
    lines = ["the transformer", "", "a model of tokens", "the text " * 80]
    (place / "in.txt").write_text("\n".join(lines) + "\n")
    (place / "in.csv").write_text("text,other\n" + "".join(f'"{line}",1\n' for line in lines))
    (place / "in.jsonl").write_text("".join(json.dumps({"text": line, "number": 1}) + "\n" for line in lines))
    (place / "old.npy").write_bytes(b"old")
    np.save(place / "old.npy", np.eye(4, 32, dtype=np.float32))
    (place / "old.jsonl").write_text(json.dumps({"text": "a", "vector": [1.0] * 32}) + "\n")
    for name in ("old.html", "old.png", "secret"):
        (place / name).write_text("what was there before\n")
    (place / "secret").chmod(0o600)
    (place / "old.npy").chmod(0o640)
    (place / "folder").mkdir()
    for name in ("loop", "loop.npy", "loop.png", "loop.html"):
        (place / name).symlink_to(name)
    (place / "dangling.npy").symlink_to("nowhere/to.npy")
    (place / "link.npy").symlink_to("old.npy")
    (place / "empty").touch()
    (place / "binary").write_bytes(bytes(range(256)) * 3)
    (place / "latin.txt").write_bytes("caf\xe9\n".encode("latin-1"))
    (place / "bom.txt").write_bytes(b"\xef\xbb\xbfone\r\ntwo\r\n")
    (place / "surrogates.jsonl").write_text('{"text": "\\ud800"}\n')
    (place / "quotes.csv").write_text('text\n"a ""quoted""\nline"\n"never ends\n')
    os.mkfifo(place / "fifo")


def check(recipe: Recipe, world: World, scratch: Path) -> str:
    furnished(scratch, world)
    argv = recipe["argv"]
    if "fifo" in argv:  # nobody is at its other end
        argv = [word.replace("fifo", "empty") for word in argv]
    if any("\0" in word for word in argv):
        return "refused"
    before = tree(scratch)
    ended = forked(argv, recipe["stdin"].encode(errors="surrogatepass"))
    held(ended, argv)
    outputs = _outputs(argv)
    kept(before, tree(scratch), outputs, success=ended.code == 0)
    if ended.code == 0 and "--help" not in argv:
        _true(argv, ended.out, world, scratch, before)
    return "refused" if ended.code else "right"


def _outputs(argv: list[str]) -> list[str]:
    """What may be written, a link's end included."""
    named = [
        value for option, value in itertools.pairwise(argv) if option in ("--output", "--png", "--cache-dir")
    ]
    if argv[0] == "explain" and not {"--output", "--png", "--json"} & set(argv):
        named.append("explain.html")
    return [*named, *("old.npy" for name in named if name == "link.npy")]


def _true(argv: list[str], out: bytes, world: World, scratch: Path, before: Tree) -> None:
    """What was printed is JSON where that was asked for, and vectors are those of their texts."""
    if "--json" in itertools.takewhile(lambda word: word != "--", argv):
        json.loads(out)
    texts = [word for word in argv[1:] if word in _WORDS[:2]]
    plain = {
        "bundle.sestina",
        *_WORDS[:2],
        "--json",
        "--threads",
        "1",
        "2",
        "--strict",
        "--precision",
        "fp32",
    }
    if argv[0] != "encode" or not texts or not set(argv[1:]) <= plain:
        return
    values = {"fp32": "--precision", "1": "--threads", "2": "--threads"}
    if any(values.get(word, option) != option for option, word in itertools.pairwise(argv)):
        return  # a text of this name
    given = world.bundle("wordpiece") if "bundle.sestina" in argv else None  # else the one in the box
    with sestina.load(given, precision="fp32" if "fp32" in argv else "auto") as encoder:
        right: Any = [encoder.encode(text) for text in texts]
    records = [json.loads(line) for line in out.splitlines()]
    if [record["text"] for record in records] != texts:
        raise Fault("encode tells other texts", str([record["text"] for record in records])[:200])
    near([record["vector"] for record in records], right, "vectors that encode prints", 1e-6)

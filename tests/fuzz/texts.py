"""Texts: every sort of Unicode and every sort of str, alone, in lists and in streams, against the references."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np

import sestina
from fuzz.core import Fault, Recipe
from fuzz.oracle import Refused, attempt, near, sound
from fuzz.references import Reference
from fuzz.world import World

SECONDS = 30
_RANGES = (
    (0x20, 0x7E), (0x20, 0x7E), (0x61, 0x7A), (0, 0x1F), (0x80, 0x24F), (0x300, 0x36F), (0x370, 0x5FF), (0x600, 0x6FF),
    (0x900, 0xDFF), (0x1100, 0x11FF), (0x2000, 0x206F), (0x20D0, 0x20FF), (0x3040, 0x30FF), (0x4E00, 0x9FFF),
    (0xAC00, 0xD7A3), (0xE000, 0xF8FF), (0xFB00, 0xFB4F), (0xFE00, 0xFE0F), (0xFF00, 0xFFEF), (0x1F300, 0x1F9FF),
    (0xE0000, 0xE007F), (0x10FFF0, 0x10FFFF),
)  # fmt: skip
_PIECES = (
    "[CLS]", "[SEP]", "[PAD]", "[UNK]", "[MASK]", "<s>", "</s>", "<pad>", "<unk>", "##ing", "\u2581", "\u0120", "  ", "\n", "\r\n", "\t",
    "\0", "\ufeff", "\u200d", "\u202e", "\u2028", "\x85", "the transformer", "model", "ﬁ", "İ", "ß", "ſ", "\u1e9e", "Å", "e\u0301", "\u3000",
    "١٢٣", "①", "\u00ad", "👩‍👩‍👧‍👦", "🏽", "🇩🇪", "\ufffd", "\uffff",
)  # fmt: skip
# Kinds of member that a list may have beside plain texts, and whether they are texts.
_KINDS = (
    "str",
    "str",
    "str",
    "str",
    "str",
    "numpy",
    "liar",
    "loud",
    "surrogate",
    "bytes",
    "none",
    "int",
    "list",
    "path",
)
_CONTAINERS = (
    "list",
    "list",
    "tuple",
    "deque",
    "array",
    "generator",
    "range-like",
    "dict",
    "table",
    "views",
    "set",
    "userlist",
)


def generate(rng: random.Random, world: World) -> Recipe:
    count = rng.choice((1, 2, 5, 5, 20, 300))
    texts = [_text(rng) for _ in range(min(count, 40))]
    kinds = ["str"] * len(texts)
    if rng.random() < 0.35:
        kinds = [rng.choice(_KINDS) if rng.random() < 0.3 else "str" for _ in texts]
    return {
        "base": rng.choice(("wordpiece", "bpe", "unigram", "mapped")),
        "precision": rng.choice(("auto", "fp32")),
        "threads": rng.choice((None, 1, 2, 3)),
        "max_memory_mb": rng.choice((None, None, 1, 7, 64)),
        "texts": texts,
        "kinds": kinds,
        "repeats": count // len(texts) or 1,
        "container": rng.choice(_CONTAINERS) if rng.random() < 0.4 else "list",
        "on_truncate": rng.choice(("ignore", "ignore", "warn", "error")),
    }


def _text(rng: random.Random) -> str:
    size = rng.choice((0, 1, 2, 5, 20, 60, 200, 4000))
    if size == 4000:
        size = rng.choice((1000, 4000, 20000))
        unit = rng.choice(
            ("a", "the ", "é", "注", "\u0301", "a b\n", "👍", "x\u3000", "1", "\n", "[SEP]", "a\u200d")
        )
        return (unit * size)[:size] + rng.choice(("", " end", "[SEP]"))
    parts = []
    low, high = rng.choice(_RANGES)
    while sum(map(len, parts)) < size:
        if rng.random() < 0.15:
            parts.append(rng.choice(_PIECES))
        if rng.random() < 0.2:
            low, high = rng.choice(_RANGES)
        parts.append(chr(rng.randint(low, high)))
        if rng.random() < 0.15:
            parts.append(" ")
    return "".join(parts)


class Liar(str):
    """Equal to everything of its kind, whatever it says."""

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 7


class Loud(str):
    """Says something else than it is."""

    def __str__(self) -> str:
        return "something else"

    def __len__(self) -> int:
        return 3

    def __iter__(self) -> Any:
        return iter("abc")

    def encode(self, *_: Any, **__: Any) -> bytes:
        return b"other"


class Table:
    """As a data frame: iterating it gives the names of its columns."""

    def __init__(self, texts: list[Any]) -> None:
        self.columns = ["first", "second"]
        self.values = np.array([texts, texts], dtype=object).T
        self.shape = self.values.shape

    def __iter__(self) -> Any:
        return iter(self.columns)

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, name: str) -> Any:
        return self.values[:, self.columns.index(name)]


def member(text: str, kind: str) -> Any:
    """A text, or what is taken for one."""
    made: dict[str, Any] = {
        "str": text, "numpy": np.str_(text), "liar": Liar(text), "loud": Loud(text), "surrogate": text + "\ud83d", "bytes": text.encode(),
        "none": None, "int": 5, "list": [text], "path": Path("a"),
    }  # fmt: skip
    return made[kind]


def _container(kind: str, members: list[Any]) -> Any:
    from collections import UserList, deque

    return {
        "list": lambda: members, "tuple": lambda: tuple(members), "deque": lambda: deque(members), "array": lambda: np.array(members, dtype=object),
        "generator": lambda: (each for each in members), "range-like": lambda: iter(members),
        "dict": lambda: {f"key {at}": each for at, each in enumerate(members)}, "table": lambda: Table(members),
        "views": lambda: dict(enumerate(members)).values(), "set": lambda: {"a", "b"}, "userlist": lambda: UserList(members),
    }[kind]()  # fmt: skip


def check(recipe: Recipe, world: World, scratch: Path) -> str:
    base = world.bundle(recipe["base"])
    options = {"threads": recipe["threads"], "max_memory_mb": recipe["max_memory_mb"]}
    precision = recipe["precision"] if recipe["base"] == "wordpiece" else "fp32"
    texts = recipe["texts"]
    members = [member(*each) for each in zip(texts, recipe["kinds"], strict=True)] * recipe["repeats"]
    good = all(kind in ("str", "numpy", "liar", "loud") for kind in recipe["kinds"])
    reference = Reference(base)
    with sestina.load(base, precision=precision, **options) as encoder:
        for text, found in zip(texts, sound(encoder, texts), strict=True):
            if isinstance(found, Refused):
                raise Fault("a text is refused", f"{text!r:.60}: {found}")
            tokens = attempt(lambda text=text: encoder.tokenize(text))
            if list(tokens.ids) != reference.ids(text):
                raise Fault("ids other than the library's", f"{text!r:.60}")
            if encoder.report().precision == "fp32":
                near(found, reference.of(text), "the vector and its right value")
        right = [encoder.encode(text, on_truncate="ignore") for text in texts] * recipe["repeats"]
        error_mode = recipe["on_truncate"] == "error" and any(
            encoder.tokenize(text).truncated for text in texts
        )
        ended = set()
        for way in ("encode", "stream"):
            given = _container(recipe["container"], members)
            call = getattr(encoder, way)
            rows = attempt(
                lambda call=call, given=given: list(call(given, on_truncate=recipe["on_truncate"]))
            )
            if isinstance(rows, Refused):
                ended.add("refused")
                certain = recipe["container"] in ("list", "tuple", "deque", "userlist")
                if good and certain and not error_mode:
                    raise Fault(f"{way} refuses texts", str(rows))
                continue
            ended.add("right")
            if recipe["container"] in ("dict", "table"):
                raise Fault(f"{way} takes a {recipe['container']} for texts", f"{len(rows)} vectors")
            if recipe["container"] == "set":
                continue
            if not good:
                raise Fault(f"{way} encodes what is no text", str(recipe["kinds"])[:200])
            near(
                rows,
                right,
                f"vectors by {way} and one by one",
                0.0 if encoder.report().precision == "int8" else 1e-6,
            )
    return "refused" if ended == {"refused"} else "right"

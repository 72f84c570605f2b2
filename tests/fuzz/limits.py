"""Time limits of an application, kept by a signal whose handler raises: what it raised arrives, and nothing else does."""

from __future__ import annotations

import random
import signal
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import sestina
from _struck import struck
from fuzz.core import Fault, Recipe
from fuzz.oracle import near
from fuzz.references import TEXTS, Reference
from fuzz.world import World

SECONDS = 30
_OURS = str(Path(sestina.__file__).parent)
_CALLS = ("load", "one", "list", "stream", "states", "explain", "tokenize", "verify", "report", "similarity")


class Own(Exception):  # noqa: N818  what an application calls it is the application's
    """As a library of tasks has it."""


_KINDS: dict[str, type[Exception]] = {
    "TimeoutError": TimeoutError,
    "RuntimeError": RuntimeError,
    "ValueError": ValueError,
    "OSError": OSError,
    "Own": Own,
}


def generate(rng: random.Random, world: World) -> Recipe:
    return {
        "base": rng.choice(("bpe", "wordpiece", "mapped", "stored")),
        "call": rng.choice(_CALLS),
        "kind": rng.choice(tuple(_KINDS)),
        "parts": [round(rng.random(), 3) for _ in range(6)],  # of all that is called within
        "threads": rng.choice((1, 2)),
    }


def check(recipe: Recipe, world: World, scratch: Path) -> str:
    bundle, kind = world.bundle(recipe["base"]), _KINDS[recipe["kind"]]
    reference = Reference(world.reference(recipe["base"]))

    def handler(number: int, frame: FrameType | None) -> None:
        raise kind("a limit")

    signal.signal(signal.SIGUSR1, handler)
    with sestina.load(bundle, precision="fp32", threads=recipe["threads"]) as encoder:
        call = _calls(encoder, bundle)[recipe["call"]]
        call()
        whole = struck(call, 0, _OURS)
        for part in recipe["parts"]:
            try:
                struck(call, 1 + int(part * (whole - 1)), _OURS)
            except kind as error:
                if isinstance(error, sestina.SestinaError):
                    raise Fault("a time limit is told as another error", str(error)) from None
            except Exception as error:  # noqa: BLE001  whatever it was made into
                raise Fault("a time limit is told as another error", repr(error)) from None
            else:
                raise Fault("a time limit is dropped", f"{recipe['call']} at {part}")
        near(encoder.encode(TEXTS[0]), reference.of(TEXTS[0]), "a vector after time limits")
    return "right"


def _calls(encoder: sestina.Encoder, bundle: Path) -> dict[str, Callable[[], Any]]:
    texts = list(TEXTS)
    return {
        "load": lambda: sestina.load(bundle, precision="fp32", threads=1),
        "one": lambda: encoder.encode(texts[0]),
        "list": lambda: encoder.encode(texts),
        "stream": lambda: list(encoder.stream(texts)),
        "states": lambda: encoder.hidden_states(texts),
        "explain": lambda: encoder.explain(texts[0]),
        "tokenize": lambda: encoder.tokenize(texts[0]),
        "verify": lambda: encoder.verify(),
        "report": lambda: encoder.report(),
        "similarity": lambda: encoder.similarity(texts[0], texts),
    }

"""What the net must be able to tell: cases that crash, hang, exhaust and go wrong, on purpose. No target of a hunt."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import numpy as np

import sestina
from fuzz.core import Fault, Recipe
from fuzz.oracle import attempt, near, sound
from fuzz.world import World

SECONDS = 2


def check(recipe: Recipe, world: World, scratch: Path) -> str:
    {
        "nothing": lambda: None,
        "crash": os.abort,
        "exit": lambda: os._exit(3),
        "hang": lambda: time.sleep(60),
        "exhaust": lambda: bytearray(1 << 40),
        "fault": _fault,
        "foreign-error": lambda: attempt(lambda: 1 / 0),
        "foreign-warning": lambda: attempt(lambda: np.float32(1) / np.float32(0)),
        "two-lines": lambda: attempt(lambda: _raise(_Unwalled("a\nb"))),
        "long": lambda: attempt(lambda: _raise(_Unwalled("a" * 5000))),
        "wrong-vector": lambda: near(np.ones(3), np.array([1, 1, 1.001]), "a vector"),
        "no-vector": lambda: near(np.full(3, np.nan), np.ones(3), "a vector"),
        "another-shape": lambda: near(np.ones((1, 3)), np.ones(3), "a vector"),
        "neighbours": lambda: _neighbours(world),
        "several": lambda: _several(recipe),
    }[recipe["do"]]()
    return "right"


class _Unwalled(sestina.OptionError):
    """As an error was before one wall made a line of each."""

    def __init__(self, said: str) -> None:
        self.args = (said,)


def _fault() -> None:
    raise Fault("as asked", "with two\nlines")


def _raise(error: Exception) -> None:
    raise error


def _neighbours(world: World) -> None:
    """An encoder whose vectors depend on what is beside a text."""
    with sestina.load(world.bundle("bpe")) as encoder:
        right = encoder.encode

        def encode(texts: object, **options: object) -> object:
            rows = right(texts, **options)  # type: ignore[arg-type]
            return rows if isinstance(texts, str) else rows + np.float32(0.001) * rows.shape[0]

        encoder.encode = encode  # type: ignore[method-assign,assignment]
        sound(encoder, ["one", "two"])


def _several(recipe: Recipe) -> None:
    """Fails while 3 and 7 are among its numbers."""
    if {3, 7} <= set(recipe["numbers"]):
        sys.stderr.write("3 and 7\n")
        raise Fault("3 and 7", "are there")

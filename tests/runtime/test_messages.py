"""A message is one line of bounded length, whatever it quotes."""

from __future__ import annotations

import itertools
import pickle
from typing import Any

import numpy as np
import pytest

import sestina
from sestina._quote import LONGEST, in_one_line, quote

KINDS = [
    kind
    for name in sestina.__all__
    if isinstance(kind := getattr(sestina, name), type) and issubclass(kind, Exception)
]


class Hostile:
    """Does not let itself be written."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def __repr__(self) -> str:
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer  # type: ignore[no-any-return]


class Own(str):
    """A text with its own idea of everything."""

    def __repr__(self) -> str:
        raise RuntimeError

    __str__ = __len__ = __getitem__ = __format__ = __repr__  # type: ignore[assignment]


@pytest.mark.parametrize("kind", KINDS)
def test_the_last_wall(kind: type[Exception]) -> None:
    """Line breaks, control characters, turned writing, lone surrogates and megabytes stay out of messages."""
    raised = kind("begins\r\n  here \x1b[2J\x00 \u202e" + "x" * 1_000_000 + " \u2028 \ud800 ends")
    message = str(raised)
    assert message.startswith("begins here \\x1b[2J\\x00 \\u202exxx")
    assert message.endswith("xxx \\ud800 ends")
    assert len(message) <= LONGEST
    assert message.isprintable()
    assert repr(raised).isprintable()
    assert str(pickle.loads(pickle.dumps(raised))) == message
    plain = "naïve café 注意力: a message that needs nothing stays as it is"
    assert str(kind(plain)) == plain


def test_what_an_error_knows_outlives_pickling() -> None:
    error = pickle.loads(pickle.dumps(sestina.TruncationError("long", position=3)))
    assert (str(error), error.position) == ("long", 3)


@pytest.mark.parametrize("value, shown", [
    ("cpu", "'cpu'"),
    ("it's", '"it\'s"'),
    ("two\nlines\u202e", r"'two\nlines\u202e'"),
    ("\ud800", r"'\ud800'"),
    ("x" * 200, f"'{'x' * 80}...' (200 characters)"),
    (np.str_("cpu"), "'cpu'"),
    (Own("cpu"), "'cpu'"),
    (7, "7"),
    (True, "True"),
    (None, "None"),
    (10**5000, "a number of 16610 bits"),
    ([10**5000], "an object of type list"),
    (Hostile(ZeroDivisionError()), "an object of type Hostile"),
    (Hostile(7), "an object of type Hostile"),
    (Hostile("two\n   lines"), "two lines"),
    (Hostile(Own("own")), "own"),
    (np.arange(3), "array([0, 1, 2])"),
], ids=itertools.count())  # fmt: skip
def test_a_value_is_written_as_python_writes_it(value: object, shown: str) -> None:
    assert quote(value) == shown


@pytest.mark.parametrize(
    "value", [b"x" * 10_000, ["x" * 10_000], np.eye(99), Hostile("\n" * 10_000), "\0" * 10_000]
)
def test_a_value_is_bounded(value: object) -> None:
    assert len(quote(value)) <= 400
    assert quote(value).isprintable()


def test_a_line_that_grows_when_escaped_is_bounded_too() -> None:
    assert len(in_one_line("\U000e0001" * 90, 100)) <= 100

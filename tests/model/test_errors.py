"""Whatever a folder or a file holds, an error of the model package is one line that can be printed."""

from __future__ import annotations

import pytest

import sestina
from sestina_model import _errors
from sestina_model._errors import ModelError
from sestina_model.evaluation.sources import MissingPackageError

LEAVES = [getattr(_errors, name) for name in _errors.__all__]
ODD = [
    "one line", "", "a\nb", "a\r\n  b\tc", "\x1b[31mred", "\u202egnp.exe", "\ud800", "x" * 2000, "x" * 2001, "\n" * 5000,
    "y\n" * 5000, "\x00" * 5000, "é" * 3000,
]  # fmt: skip


@pytest.mark.parametrize("said", ODD, ids=range(len(ODD)))
@pytest.mark.parametrize("leaf", [*LEAVES, MissingPackageError], ids=lambda leaf: leaf.__name__)
def test_an_error_is_one_line(leaf: type[ModelError], said: str) -> None:
    found = str(leaf(said))
    assert found.isprintable()
    assert len(found) <= 2000
    assert found == str(
        sestina.SestinaError(said)
    )  # two packages, neither of which imports the other, one rule


def test_what_is_a_line_stays_as_it_is() -> None:
    assert str(ModelError("config.json: ☃ is no number")) == "config.json: ☃ is no number"
    assert ModelError("a", 2).args == ("a", 2)

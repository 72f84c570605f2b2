"""Repeated texts: encoded once in a call, whatever lies between them, and never lost sight of."""

from __future__ import annotations

import numpy as np
import pytest

import sestina
from sestina._errors import TextTypeError, TruncationError, TruncationWarning
from sestina._schedule import pipeline as _pipeline

LONG = "model " * 100


@pytest.fixture
def tokenized(encoder: sestina.Encoder, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every text that reaches the tokenizer, in windows of two."""
    monkeypatch.setattr(_pipeline, "_FIRST_WINDOW", 2)
    monkeypatch.setattr(_pipeline, "_WINDOW", 2)
    seen: list[str] = []
    tokenizer = encoder._engine._tokenizer
    honest = tokenizer.ids

    def ids(texts: list[str]) -> tuple[list[list[int]], list[int]]:
        seen.extend(texts)
        return honest(texts)

    monkeypatch.setattr(tokenizer, "ids", ids)
    return seen


def test_once_a_call_across_windows(encoder: sestina.Encoder, tokenized: list[str]) -> None:
    texts = [f"text {number % 5}" for number in range(23)]
    vectors = encoder.encode(texts)
    assert sorted(tokenized) == sorted(set(texts))
    for text, vector in zip(texts, vectors, strict=True):
        np.testing.assert_allclose(vector, encoder.encode(text), atol=1e-6)
    assert np.abs(vectors[0] - vectors[1]).max() > 1e-3  # the control: different texts differ
    tokenized.clear()
    list(encoder.stream(texts))
    assert len(tokenized) > 5  # a stream remembers a window only: its memory is bounded


def test_every_place_that_was_cut_counts(encoder: sestina.Encoder, tokenized: list[str]) -> None:
    texts = ["a", "b", "a", LONG, "c", "d", LONG, "b", LONG]
    with pytest.warns(TruncationWarning, match=r"3 texts \(the first is text 3\)") as caught:
        encoder.encode(texts)
    (warned,) = (each.message for each in caught)
    assert isinstance(warned, TruncationWarning)
    assert (warned.count, warned.first) == (3, 3)
    with pytest.raises(TruncationError, match="text 3 has more than") as raised:
        encoder.encode(texts, on_truncate="error")
    assert raised.value.position == 3
    assert len(tokenized) > 0


def test_the_first_place_of_what_is_no_text(encoder: sestina.Encoder) -> None:
    with pytest.raises(TextTypeError, match="text 3 is list"):
        encoder.encode(["a", "a", "b", ["c"]])  # type: ignore[list-item]


def test_nothing_and_blank(encoder: sestina.Encoder) -> None:
    assert encoder.encode([]).shape == (0, 32)
    assert encoder.encode(["", "", ""]).shape == (3, 32)

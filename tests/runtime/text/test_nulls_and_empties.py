"""Nulls and empty texts: one rule each, at every door, whatever the tokenizer."""

from __future__ import annotations

import copy
import decimal
import re
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sestina

KINDS = ("wordpiece", "bpe", "unigram")


class NAType:
    """As pandas has it; whoever has no pandas has this module's, told apart by where it is from."""

    __module__ = "pandas._libs.missing"


class NaTType:
    __module__ = "pandas._libs.tslibs.nattype"


NULLS = [
    None, float("nan"), np.float64("nan"), np.float32("nan"), np.datetime64("NaT", "s"), np.ma.masked,
    decimal.Decimal("nan"), NAType(), NaTType(),
]  # fmt: skip

Doors = dict[str, Callable[..., Any]]
DOORS: Doors = {
    "encode": lambda encoder, texts, **options: encoder.encode(texts, **options),
    "encode_query": lambda encoder, texts, **options: encoder.encode_query(texts, **options),
    "encode_document": lambda encoder, texts, **options: encoder.encode_document(texts, **options),
    "stream": lambda encoder, texts, **options: np.array(list(encoder.stream(iter(texts), **options))),
}


@pytest.fixture(scope="module", params=KINDS)
def any_encoder(request: pytest.FixtureRequest, make_bundle: Any) -> Iterator[sestina.Encoder]:
    with sestina.load(make_bundle(request.param), threads=1) as loaded:
        yield loaded


@pytest.mark.parametrize("door", DOORS)
def test_a_null_is_an_error_that_names_its_row(door: str, encoder: sestina.Encoder) -> None:
    for null in NULLS:
        with pytest.raises(sestina.TextTypeError, match=r"^row 2 is null; it must be str: .*on_null='zero'"):
            DOORS[door](encoder, ["a", "b", null, "c", None])
    with pytest.raises(sestina.TextTypeError, match="^row 1 is null"):
        encoder.hidden_states(["a", None])
    with pytest.raises(sestina.TextTypeError, match="^row 1 is null"):
        encoder.similarity("a", ["a", None])


@pytest.mark.parametrize("door", DOORS)
def test_a_null_is_a_zero_vector_where_asked(door: str, any_encoder: sestina.Encoder) -> None:
    texts = ["a", "the model", "", "tokens"]
    given = [each for pair in zip(NULLS, texts * 3, strict=False) for each in pair]
    vectors = DOORS[door](any_encoder, given, on_null="zero")
    assert not vectors[::2].any()
    assert np.array_equal(vectors[1::2], DOORS[door](any_encoder, given[1::2]))
    assert not DOORS[door](any_encoder, [None, None], on_null="zero", dimensions=8).any()


def test_nulls_elsewhere(any_encoder: sestina.Encoder) -> None:
    states = any_encoder.hidden_states(["a", None, "the model"], on_null="zero")
    np.testing.assert_allclose(states[0], any_encoder.hidden_states("a")[0], atol=1e-5)
    np.testing.assert_allclose(states[2], any_encoder.hidden_states("the model")[0], atol=1e-5)
    assert states[1].shape == (0, states[0].shape[1])
    scores = any_encoder.similarity(["a", None], [float("nan"), "a", "b"], on_null="zero")
    assert not scores[1].any()
    assert not scores[:, 0].any()
    np.testing.assert_allclose(scores[0, 1:], any_encoder.similarity("a", ["a", "b"])[0], atol=1e-5)


def test_only_a_null_is_taken_for_one(encoder: sestina.Encoder) -> None:
    for value in (
        5,
        1.5,
        np.float32(1),
        b"a",
        ["a"],
        np.datetime64("2026-01-01"),
        decimal.Decimal(1),
        object(),
    ):
        with pytest.raises(
            sestina.TextTypeError, match=f"^text 1 is {type(value).__name__}; it must be str$"
        ):
            encoder.encode(["a", value], on_null="zero")
    with pytest.raises(sestina.TextTypeError, match="^texts is NoneType"):  # no column
        encoder.encode(None, on_null="zero")  # type: ignore[arg-type]
    foreign = type("NAType", (), {"__module__": "elsewhere"})()
    with pytest.raises(sestina.TextTypeError, match="^text 0 is NAType"):
        encoder.encode([foreign], on_null="zero")


def test_columns(encoder: sestina.Encoder) -> None:
    wanted = encoder.encode(["a", "b"])
    for column in (
        np.array(["a", None, "b"], dtype=object),
        np.array(["a", float("nan"), "b"], dtype=object),
        np.ma.array(["a", "x", "b"], mask=[False, True, False]),
    ):
        for door in DOORS.values():
            vectors = door(encoder, column, on_null="zero")
            assert np.array_equal(vectors[[0, 2]], wanted)
            assert not vectors[1].any()


EMPTY = ["", " ", "\t\n", "\u2003", " " * 5000]


@pytest.mark.parametrize("prompt", [None, "tokens: ", "model "])
@pytest.mark.parametrize("door", DOORS)
def test_an_empty_text_is_one_whatever_the_tokenizer(
    door: str, prompt: str | None, any_encoder: sestina.Encoder
) -> None:
    call, options = DOORS[door], {} if prompt is None else {"prompt_text": prompt}
    for empty in EMPTY:
        with pytest.raises(sestina.EmptyTextError, match=r"^text 1 is empty: .*on_empty='zero'") as caught:
            call(any_encoder, ["a", empty, "b", empty], on_empty="error", **options)
        assert caught.value.position == 1
        assert isinstance(caught.value, sestina.TextValueError)
    given = ["a", *EMPTY, "", "the model"]
    there = call(any_encoder, ["a", "the model"], **options)
    zero = call(any_encoder, given, on_empty="zero", **options)
    assert not zero[1:-1].any()
    assert np.array_equal(zero[[0, -1]], there)
    with pytest.warns(sestina.EmptyTextWarning, match=r"^6 texts \(the first is text 1\) are empty") as told:
        warned = call(any_encoder, given, on_empty="warn", **options)
    assert np.array_equal(warned, zero)
    assert [(each.message.count, each.message.first) for each in told] == [(6, 1)]  # type: ignore[union-attr]
    assert told[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.array_equal(
            call(any_encoder, ["a", "b"], on_empty="warn", **options),
            call(any_encoder, ["a", "b"], **options),
        )


def test_no_token_of_its_own_is_empty_too(encoder: sestina.Encoder) -> None:
    """What a tokenizer drops leaves the special tokens alone, or those of the prompt."""
    dropped = "\x00\u200d"  # control characters, which BERT's normalizer takes out
    assert len(encoder.tokenize(dropped).ids) == len(encoder.tokenize("").ids) == 2
    for options in ({}, {"prompt_text": "tokens: "}):
        assert not encoder.encode([dropped, "a"], on_empty="zero", **options)[0].any()
        assert encoder.encode([dropped, "a"], on_empty="zero", **options)[1].any()
        with pytest.raises(sestina.EmptyTextError, match="^the text is empty"):
            encoder.encode(dropped, on_empty="error", **options)


def test_by_default_it_has_the_models_own_vector(any_encoder: sestina.Encoder) -> None:
    """That of PyTorch: the zero vector only where the tokenizer adds nothing."""
    for empty in EMPTY[:3]:
        vector = any_encoder.encode(empty)
        assert vector.any() == bool(any_encoder.tokenize(empty).ids)
        assert np.array_equal(vector, any_encoder.encode(["a", empty])[1])


def test_empties_elsewhere(any_encoder: sestina.Encoder) -> None:
    states = any_encoder.hidden_states(["a", " "], on_empty="zero")
    assert [len(each) for each in states] == [len(any_encoder.tokenize("a").ids), 0]
    assert not any_encoder.similarity(["", "a"], " ", on_empty="zero").any()
    with pytest.raises(sestina.EmptyTextError, match="^text 0 is empty"):
        any_encoder.similarity("a", "", on_empty="error")
    assert not any_encoder.encode("", on_empty="zero").any()
    with pytest.warns(sestina.EmptyTextWarning, match="^the text is empty and got a zero vector"):
        any_encoder.encode(" ", on_empty="warn")


def test_an_empty_text_is_not_too_long(encoder: sestina.Encoder) -> None:
    """Nobody is told of the limit by a text that is not encoded."""
    prompt = "tokens " * 100
    texts = ["", "a"]
    with pytest.warns(sestina.TruncationWarning) as told:
        encoder.encode(texts, prompt_text=prompt, on_empty="zero")
    assert [each.message.count for each in told] == [1]  # type: ignore[union-attr]


def test_repeated_texts_and_windows_keep_their_places(encoder: sestina.Encoder) -> None:
    texts: list[Any] = ["a", "", None, "b"] * 700 + [f"model {at}" for at in range(300)] + [None, " "]
    for door in ("encode", "stream"):
        vectors = DOORS[door](encoder, texts, on_null="zero", on_empty="zero")
        zero = [at for at, text in enumerate(texts) if not (text and text.strip())]
        assert np.flatnonzero(~vectors.any(axis=1)).tolist() == zero
    with pytest.raises(sestina.EmptyTextError, match="^text 3101 is empty"):
        list(encoder.stream([text or "a" for text in texts], on_empty="error"))
    with pytest.raises(sestina.TextTypeError, match="^row 3100 is null"):
        list(encoder.stream(text if at > 3000 else "a" for at, text in enumerate(texts)))


@pytest.mark.parametrize("name, allowed", [("on_null", "error, zero"), ("on_empty", "zero, warn, error")])
def test_what_is_not_allowed_is_said_at_once(name: str, allowed: str, encoder: sestina.Encoder) -> None:
    for value in ("ignore", 5, True):
        said = f"^{re.escape(f'{name} is {value!r}; it must be one of {allowed}')}$"
        for call in (
            lambda **options: encoder.encode([], **options),
            lambda **options: encoder.stream([], **options),
            lambda **options: encoder.hidden_states([], **options),
            lambda **options: encoder.similarity(np.ones((1, 32)), np.ones((1, 32)), **options),
        ):
            with pytest.raises(sestina.OptionError, match=said):
                call(**{name: value})


def test_errors_and_warnings_travel(bundle: Path) -> None:
    assert bundle
    error = copy.copy(sestina.EmptyTextError("a\nb", position=3))
    assert (str(error), error.position) == ("a b", 3)
    assert str(sestina.EmptyTextWarning("a\nb")) == "a b"

"""What users of sentence-transformers type says what to write here, and nothing is taken and ignored."""

from __future__ import annotations

import asyncio
import copy
import inspect
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sestina
from sestina import _familiar

METHODS = ("encode", "encode_query", "encode_document", "stream", "hidden_states")


def refused(call: Any, name: str, instead: str, kind: type[Exception]) -> None:
    with pytest.raises(kind) as caught:
        call()
    assert isinstance(caught.value, sestina.SestinaError)
    said = str(caught.value)
    assert name in said
    assert said.endswith(instead)
    assert "\n" not in said


@pytest.mark.parametrize("name", _familiar.ENCODING)
def test_arguments_of_encode(name: str, encoder: sestina.Encoder) -> None:
    for method in METHODS:
        instead = _familiar.ENCODING[name]
        refused(lambda: getattr(encoder, method)(["a"], **{name: 1}), name, instead, TypeError)  # noqa: B023
    refused(lambda: encoder.similarity("a", "b", **{name: 1}), name, instead, TypeError)


@pytest.mark.parametrize("name", _familiar.LOADING)
def test_arguments_of_load(name: str) -> None:
    refused(lambda: sestina.load(**{name: 1}), name, _familiar.LOADING[name], TypeError)


@pytest.mark.parametrize("name", _familiar.ATTRIBUTES)
def test_attributes(name: str, encoder: sestina.Encoder) -> None:
    refused(lambda: getattr(encoder, name), name, _familiar.ATTRIBUTES[name], AttributeError)
    assert not hasattr(encoder, name)
    assert name not in dir(encoder)


@pytest.mark.parametrize("name", _familiar.MODULE)
def test_names_of_the_package(name: str) -> None:
    refused(lambda: getattr(sestina, name), name, _familiar.MODULE[name], AttributeError)
    assert name not in dir(sestina)


def test_every_name_that_is_said_exists(encoder: sestina.Encoder) -> None:
    """So that nobody is sent to what is no longer there."""
    encode = inspect.signature(encoder.encode).parameters
    assert {"texts", "prompt", "prompt_text", "output", "progress", "dimensions"} <= set(encode)
    assert {"a", "b"} <= set(inspect.signature(encoder.similarity).parameters)
    assert {"path", "provider", "precision", "threads", "max_memory_mb"} <= set(
        inspect.signature(sestina.load).parameters
    )
    for name in _familiar.ENCODING:
        assert name not in encode
    for name in ("dimensions", "max_tokens", "default_prompt", "similarity_function", "normalized"):
        assert hasattr(encoder, name)
    assert encoder.report().provider


def test_any_other_name_is_pythons_to_refuse(encoder: sestina.Encoder) -> None:
    with pytest.raises(TypeError, match=r"encode\(\) got an unexpected keyword argument 'prommpt'") as caught:
        encoder.encode(["a"], prommpt="query")  # type: ignore[call-arg]
    assert not isinstance(caught.value, sestina.SestinaError)
    with pytest.raises(AttributeError, match="'Encoder' object has no attribute 'dimension'") as missing:
        encoder.dimension  # type: ignore[attr-defined]  # noqa: B018
    assert (missing.value.name, missing.value.obj) == ("dimension", encoder)  # what Python suggests by
    with pytest.raises(AttributeError, match="module 'sestina' has no attribute 'lode'"):
        sestina.lode  # type: ignore[attr-defined]  # noqa: B018


def test_an_encoder_is_true_and_has_no_length(encoder: sestina.Encoder) -> None:
    assert encoder
    refused(lambda: len(encoder), "Encoder", "max_tokens for a text's", TypeError)  # type: ignore[arg-type]


def test_normalized(encoder: sestina.Encoder, make_bundle: Any) -> None:
    assert encoder.normalized is True
    assert np.linalg.norm(encoder.encode("the model")) == pytest.approx(1, abs=1e-5)
    with sestina.load(make_bundle("unigram")) as other:
        assert other.normalized is False
        assert np.linalg.norm(other.encode("the model")) != pytest.approx(1, abs=1e-3)


def test_awaited(encoder: sestina.Encoder) -> None:
    async def run() -> None:
        async with sestina.AsyncEncoder(encoder) as many:
            await many.encode("a", batch_size=5)

    with pytest.raises(sestina.UsageError, match="no argument 'batch_size'"):
        asyncio.run(run())


def test_it_is_still_copied_and_described(encoder: sestina.Encoder) -> None:
    with pickle.loads(pickle.dumps(encoder)) as again:
        assert np.array_equal(again.encode("a"), encoder.encode("a"))
    with copy.deepcopy(encoder) as again:
        assert again.space == encoder.space
    error = sestina.UnknownAttributeError("a\nb", name="c", obj=1)
    assert (str(error), error.name, error.obj) == ("a b", "c", 1)
    assert encoder.encode.__doc__.startswith("Encode one text")  # type: ignore[union-attr]


def test_the_page_has_every_name_and_says_the_same() -> None:
    page = Path(__file__).parents[2] / "docs" / "coming.md"
    if not page.is_file():
        pytest.skip("the documentation is not here")
    text = page.read_text("utf-8")
    for table in (_familiar.ENCODING, _familiar.LOADING, _familiar.ATTRIBUTES, _familiar.MODULE):
        for name, instead in table.items():
            assert f"| `{name}` | {instead} |" in text
    rows = sum(line.startswith("| `") for line in text.splitlines())
    assert rows == sum(
        map(len, (_familiar.ENCODING, _familiar.LOADING, _familiar.ATTRIBUTES, _familiar.MODULE))
    )

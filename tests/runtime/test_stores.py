"""What integrations share, without any host: no store is handed the vector of an empty text, whatever the tokenizer."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sestina
from sestina.integrations._empty import empty_rows, warn_empty
from sestina.integrations._encoder import Source
from sestina.integrations._waiting import Waiting

# The last is taken out by BERT's normalizer: its vector is that of [CLS] and [SEP], or of the prompt, and not zero.
EMPTY = ["", " \n", "\u3000", "\x00\u200d"]


@pytest.fixture(scope="module", params=["bare", "prompted"])
def encoder(
    request: pytest.FixtureRequest, bundle: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Any]:
    own = shutil.copytree(bundle, tmp_path_factory.mktemp("stores") / "own.sestina")
    path = own / "manifest.json"
    document = json.loads(path.read_text("utf-8"))
    document["format_version"] = 2
    prompts = {"query": "the query: ", "document": "tokens of "} if request.param == "prompted" else {}
    document["contract"].update(prompts=prompts, default_prompt=None, similarity="cosine")
    path.write_text(json.dumps(document), "utf-8")
    with sestina.load(own, precision="int8", threads=1) as loaded:
        yield loaded


@pytest.mark.parametrize("empty", EMPTY)
@pytest.mark.parametrize("kind", ["query", "document"])
def test_none_reaches_a_store(kind: Any, empty: str, encoder: sestina.Encoder) -> None:
    source = Source(encoder)
    own = getattr(encoder, f"encode_{kind}")
    assert own(empty).any()  # what a store could have been handed
    texts = ["a model", empty, "the tokens", empty]
    for call in (
        lambda: source.encode(texts, kind),
        lambda: asyncio.run(Waiting(source).encode(texts, kind)),
    ):
        with pytest.raises(
            sestina.EmptyTextError, match=rf"^{kind} 1 is empty \(and 1 more\): .* leave it out$"
        ) as caught:
            call()
        assert caught.value.position == 1
    for found in (
        source.encode(texts, kind, empty="zero"),
        asyncio.run(Waiting(source).encode(texts, kind, empty="zero")),
    ):
        assert empty_rows(found, texts) == [1, 3]
        assert not found[1::2].any()
        assert np.array_equal(found[::2], own(texts[::2]))


def test_what_is_no_store_may_have_the_models_own(encoder: sestina.Encoder) -> None:
    texts = ["a model", *EMPTY]
    assert np.array_equal(
        Source(encoder).encode(texts, "document", empty="as it is"), encoder.encode_document(texts)
    )


def test_texts_that_are_there_are_not_refused(encoder: sestina.Encoder) -> None:
    texts = ["a", "the", ".", "\u200ba", "model " * 200]
    for kind in ("query", "document"):
        wanted = getattr(encoder, f"encode_{kind}")(texts, on_truncate="ignore")
        assert np.array_equal(Source(encoder).encode(texts, kind, on_truncate="ignore"), wanted)  # type: ignore[arg-type]
        assert empty_rows(wanted, texts) == []


def test_the_warning_says_how_many_and_where() -> None:
    with pytest.warns(
        sestina.EmptyTextWarning, match="^2 of 9 texts are empty and have no vector; the first is row 4$"
    ) as told:
        warn_empty([4, 6], 9)
    assert (told[0].message.count, told[0].message.first) == (2, 4)  # type: ignore[union-attr]
    warn_empty([], 9)

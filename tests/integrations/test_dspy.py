"""DSPy's own embedder and retriever, with ours."""

from __future__ import annotations

import asyncio
from pathlib import Path

import dspy
import numpy as np
import pytest

import sestina
from sestina.integrations.dspy import SestinaEmbedder, SestinaEmbeddings


def test_an_embedder(documents: list[str], encoder: sestina.Encoder) -> None:
    embedder = SestinaEmbedder()
    assert isinstance(embedder, dspy.Embedder)
    assert np.array_equal(embedder(documents), encoder.encode(documents))
    assert np.array_equal(embedder(documents, batch_size=1), encoder.encode(documents))
    assert np.array_equal(asyncio.run(embedder.acall(documents[0])), encoder.encode(documents[0]))
    with pytest.raises(sestina.TextValueError, match="document 1 is empty"):
        embedder(["a", ""])


def test_a_cache_tells_encoders_apart(encoder: sestina.Encoder) -> None:
    wide, narrow = (
        SestinaEmbedder(encoder, caching=True),
        SestinaEmbedder(encoder, dimensions=8, caching=True),
    )
    assert wide("a text").shape == (encoder.dimensions,)
    assert narrow("a text").shape == (8,)


def test_a_retriever_is_saved_and_loaded(
    tmp_path: Path, documents: list[str], query: str, other: Path, encoder: sestina.Encoder
) -> None:
    retriever = SestinaEmbeddings(documents, k=1)
    assert retriever(query).passages == [documents[1]]
    retriever.save(str(tmp_path / "kept"))
    assert SestinaEmbeddings.from_saved(str(tmp_path / "kept"))(query).passages == [documents[1]]
    with pytest.raises(sestina.BundleIntegrityError, match=encoder.space):
        SestinaEmbeddings.from_saved(str(tmp_path / "kept"), str(other))


def test_passages_and_questions_have_prompts_of_their_own(prompted: object) -> None:
    retriever = SestinaEmbeddings(["a", "b"], k=1)
    assert prompted.asked[-1] == ("document", ["a", "b"])  # type: ignore[attr-defined]
    retriever("a")
    assert prompted.asked[-1] == ("query", ["a"])  # type: ignore[attr-defined]


def test_an_empty_passage_or_question_is_refused(documents: list[str]) -> None:
    with pytest.raises(sestina.TextValueError, match="document 3 is empty"):
        SestinaEmbeddings([*documents, " "])
    with pytest.raises(sestina.TextValueError, match="query 0 is empty"):
        SestinaEmbeddings(documents)("")

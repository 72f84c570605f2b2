"""LangChain's own vector store, cache and runnables, with our embeddings."""

from __future__ import annotations

import asyncio
import copy
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import InMemoryVectorStore

import sestina
from sestina.integrations.langchain import SestinaEmbeddings


def test_a_store_finds_what_is_near(documents: list[str], query: str) -> None:
    embeddings = SestinaEmbeddings()
    assert isinstance(embeddings, Embeddings)
    store = InMemoryVectorStore(embeddings)
    store.add_texts(documents)
    assert store.similarity_search(query, k=1)[0].page_content == documents[1]


def test_vectors_are_those_of_the_encoder(encoder: sestina.Encoder, documents: list[str]) -> None:
    embeddings = SestinaEmbeddings(encoder, dimensions=64)
    vectors = embeddings.embed_documents(documents)
    assert np.array_equal(np.float32(vectors), encoder.encode(documents, dimensions=64))
    assert all(type(number) is float for number in vectors[0])
    assert embeddings.space == encoder.space
    assert embeddings.embed_documents([]) == []


def test_queries_and_documents_have_prompts_of_their_own(prompted: object, encoder: sestina.Encoder) -> None:
    embeddings = SestinaEmbeddings()
    assert embeddings.embed_query("a") == encoder.encode("query: a").tolist()
    assert embeddings.embed_documents(["a"]) == [encoder.encode("document: a").tolist()]
    assert asyncio.run(embeddings.aembed_query("a")) == encoder.encode("query: a").tolist()
    assert asyncio.run(embeddings.aembed_documents(["a"])) == [encoder.encode("document: a").tolist()]


@pytest.mark.parametrize("empty", ["", "  "])
def test_an_empty_text_never_reaches_a_store(empty: str) -> None:
    store = InMemoryVectorStore(SestinaEmbeddings())
    with pytest.raises(sestina.TextValueError, match="document 1 is empty.*leave it out"):
        store.add_texts(["a text", empty])
    with pytest.raises(sestina.TextValueError, match="query 0 is empty"):
        store.similarity_search(empty)
    with pytest.raises(sestina.TextValueError, match="document 1 is empty"):
        asyncio.run(store.aadd_texts(["a text", empty]))


def test_an_empty_text_is_one_with_a_prompt_too(prompted: object) -> None:
    embeddings = SestinaEmbeddings()
    assert embeddings.embed_query("a")
    with pytest.raises(sestina.TextValueError, match="query 0 is empty"):
        embeddings.embed_query(" ")
    with pytest.raises(sestina.TextValueError, match="document 1 is empty"):
        asyncio.run(embeddings.aembed_documents(["a", "\n"]))


def test_a_null_is_named(encoder: sestina.Encoder) -> None:
    with pytest.raises(sestina.TextTypeError, match="document 1 is null"):
        SestinaEmbeddings(encoder).embed_documents(["a", None])  # type: ignore[list-item]


def test_coroutines_are_encoded_together(encoder: sestina.Encoder, prompted: object) -> None:
    texts = [f"question {at}" for at in range(40)]
    embeddings = SestinaEmbeddings(encoder)

    async def ask() -> list[list[float]]:
        return await asyncio.gather(*map(embeddings.aembed_query, texts))

    for _ in range(2):  # a second event loop, after the first has ended
        before = len(prompted.asked)  # type: ignore[attr-defined]
        assert np.array_equal(
            np.float32(asyncio.run(ask())), encoder.encode([f"query: {text}" for text in texts])
        )
        assert len(prompted.asked) - before < 10  # type: ignore[attr-defined]


def test_it_is_pickled_and_copied_by_place_and_space(
    bundle: Path, becomes_another: Callable[[Path], str]
) -> None:
    embeddings = SestinaEmbeddings(bundle)
    asyncio.run(embeddings.aembed_query("a"))
    vector = embeddings.embed_query("a text")
    assert copy.deepcopy(embeddings).embed_query("a text") == vector
    kept = pickle.dumps(embeddings)
    assert pickle.loads(kept).embed_query("a text") == vector
    space, another = embeddings.space, becomes_another(bundle)
    with pytest.raises(sestina.BundleIntegrityError, match=f"{another}.*{space}"):
        pickle.loads(kept).embed_query("a text")


def test_another_space_is_refused(other: Path, encoder: sestina.Encoder) -> None:
    with pytest.raises(sestina.BundleIntegrityError, match=encoder.space):
        SestinaEmbeddings(other, space=encoder.space)


def test_arguments_that_are_not_allowed() -> None:
    for wrong in (0, 100_000, "8", 8.0, True):
        with pytest.raises(sestina.OptionError, match=f"dimensions is {wrong!r}"):
            SestinaEmbeddings(dimensions=wrong)  # type: ignore[arg-type]
    with pytest.raises(sestina.OptionError, match="encoder is int"):
        SestinaEmbeddings(3)  # type: ignore[arg-type]
    with pytest.raises(sestina.BundleNotFoundError):
        SestinaEmbeddings("nowhere.sestina")

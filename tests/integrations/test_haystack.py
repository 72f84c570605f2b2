"""Haystack's own pipelines and document store, with our components."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from haystack import Document, Pipeline
from haystack.components.retrievers.in_memory import InMemoryEmbeddingRetriever
from haystack.components.writers import DocumentWriter
from haystack.document_stores.in_memory import InMemoryDocumentStore

import sestina
from sestina.integrations.haystack import SestinaDocumentEmbedder, SestinaTextEmbedder


def test_pipelines_index_and_find(documents: list[str], query: str) -> None:
    store = InMemoryDocumentStore(embedding_similarity_function="cosine")
    indexing = Pipeline()
    indexing.add_component("embedder", SestinaDocumentEmbedder())
    indexing.add_component("writer", DocumentWriter(store))
    indexing.connect("embedder.documents", "writer.documents")
    indexing.run({"embedder": {"documents": [Document(content=text) for text in documents]}})
    asking = Pipeline()
    asking.add_component("embedder", SestinaTextEmbedder())
    asking.add_component("retriever", InMemoryEmbeddingRetriever(store, top_k=1))
    asking.connect("embedder.embedding", "retriever.query_embedding")
    again = Pipeline.loads(asking.dumps())
    again.get_component("retriever").document_store = store
    for pipeline in (asking, again):
        found = pipeline.run({"embedder": {"text": query}})["retriever"]["documents"]
        assert [each.content for each in found] == [documents[1]]


def test_a_pipeline_that_is_kept_refuses_another_space(
    bundle: Path, becomes_another: Callable[[Path], str], encoder: sestina.Encoder
) -> None:
    pipeline = Pipeline()
    pipeline.add_component("embedder", SestinaTextEmbedder(bundle))
    kept, another = pipeline.dumps(), becomes_another(bundle)
    assert str(bundle) in kept
    assert encoder.space in kept
    again = Pipeline.loads(kept)
    with pytest.raises(sestina.BundleIntegrityError, match=f"{another}.*{encoder.space}"):
        again.get_component("embedder").run(text="a text")


def test_queries_and_documents_have_prompts_of_their_own(prompted: object, encoder: sestina.Encoder) -> None:
    text, document = SestinaTextEmbedder(encoder), SestinaDocumentEmbedder(encoder)
    query, passage = encoder.encode("query: a").tolist(), encoder.encode("document: a").tolist()
    given = [Document(content="a")]
    assert text.run(text="a") == {"embedding": query, "meta": {"model": "default", "space": encoder.space}}
    assert asyncio.run(text.run_async(text="a"))["embedding"] == query
    assert document.run(documents=given)["documents"][0].embedding == passage
    assert asyncio.run(document.run_async(documents=given))["documents"][0].embedding == passage
    assert given[0].embedding is None  # the caller's is left as it was


def test_metadata_may_stand_before_the_content(encoder: sestina.Encoder) -> None:
    embedder = SestinaDocumentEmbedder(
        encoder, meta_fields_to_embed=["title", "none"], embedding_separator=": "
    )
    done = embedder.run(documents=[Document(content="body", meta={"title": "head", "none": None})])
    assert np.array_equal(np.float32(done["documents"][0].embedding), encoder.encode("head: body"))
    again = SestinaDocumentEmbedder.from_dict(embedder.to_dict())
    assert again.meta_fields_to_embed == ["title", "none"]
    assert again.embedding_separator == ": "


def test_empty_documents_and_queries(encoder: sestina.Encoder) -> None:
    given = [Document(content="a"), Document(content=""), Document(content=None, meta={"at": 2})]
    with pytest.raises(sestina.TextValueError, match=r"document 1 is empty \(and 1 more\)"):
        SestinaDocumentEmbedder(encoder).run(documents=given)
    with pytest.warns(
        UserWarning, match="2 of 3 documents are empty and get no embedding; the first is 1"
    ) as told:
        done = SestinaDocumentEmbedder(encoder, on_empty="warn").run(documents=given)["documents"]
    assert [each.filename for each in told] == [__file__]
    assert [each.embedding is None for each in done] == [False, True, True]
    with pytest.raises(sestina.TextValueError, match="query 0 is empty"):
        SestinaTextEmbedder(encoder).run(text=" ")
    with pytest.raises(sestina.TextTypeError, match="text 0 is null"):
        SestinaTextEmbedder(encoder).run(text=None)  # type: ignore[arg-type]
    with pytest.raises(sestina.TextTypeError, match="document 0 is str"):
        SestinaDocumentEmbedder(encoder).run(documents=["a"])  # type: ignore[list-item]
    with pytest.raises(sestina.OptionError, match="on_empty is 'zero'"):
        SestinaDocumentEmbedder(encoder, on_empty="zero")  # type: ignore[arg-type]
    assert SestinaDocumentEmbedder(encoder).run(documents=[])["documents"] == []

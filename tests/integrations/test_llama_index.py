"""LlamaIndex's own index, pipeline and serialisation, with our embedding model."""

from __future__ import annotations

import asyncio
import copy
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from llama_index.core import Document, VectorStoreIndex
from llama_index.core.embeddings.loading import load_embed_model
from llama_index.core.ingestion import IngestionPipeline

import sestina
from sestina.integrations.llama_index import SestinaEmbedding


def test_an_index_finds_what_is_near(documents: list[str], query: str) -> None:
    model = SestinaEmbedding()
    assert model.embed_batch_size >= 256
    index = VectorStoreIndex.from_documents([Document(text=text) for text in documents], embed_model=model)
    found = index.as_retriever(similarity_top_k=1).retrieve(query)
    assert found[0].node.get_content() == documents[1]


def test_a_pipeline_embeds_its_nodes(documents: list[str], encoder: sestina.Encoder) -> None:
    nodes = IngestionPipeline(transformations=[SestinaEmbedding()]).run(
        documents=[Document(text=text) for text in documents]
    )
    assert np.array_equal(np.float32([node.embedding for node in nodes]), encoder.encode(documents))


def test_queries_and_documents_have_prompts_of_their_own(prompted: object, encoder: sestina.Encoder) -> None:
    model = SestinaEmbedding(encoder)
    query, document = encoder.encode("query: a").tolist(), encoder.encode("document: a").tolist()
    assert model.get_query_embedding("a") == query
    assert model.get_text_embedding("a") == document
    assert model.get_text_embedding_batch(["a", "b"])[0] == document
    assert asyncio.run(model.aget_query_embedding("a")) == query
    assert asyncio.run(model.aget_text_embedding("a")) == document
    assert asyncio.run(model.aget_text_embedding_batch(["a", "b"]))[0] == document


def test_an_empty_text_is_refused(encoder: sestina.Encoder) -> None:
    model = SestinaEmbedding(encoder)
    with pytest.raises(sestina.TextValueError, match="document 1 is empty"):
        model.get_text_embedding_batch(["a", ""])
    with pytest.raises(sestina.TextValueError, match="query 0 is empty"):
        model.get_query_embedding(" ")
    with pytest.raises(sestina.TextTypeError, match="document 0 is null"):
        model._get_text_embeddings([None])  # type: ignore[list-item]


def test_what_is_kept_is_opened_again_and_no_other_space(
    bundle: Path, becomes_another: Callable[[Path], str]
) -> None:
    model = SestinaEmbedding(bundle, dimensions=32)
    vector = model.get_text_embedding("a text")
    assert len(vector) == 32
    kept, pickled = model.to_dict(), pickle.dumps(model)
    assert (kept["encoder"], kept["space"]) == (str(bundle), model.space)
    for again in (
        SestinaEmbedding.from_dict(kept),
        load_embed_model(kept),
        SestinaEmbedding.from_json(model.to_json()),
        pickle.loads(pickled),
        copy.deepcopy(model),
    ):
        assert again.get_text_embedding("a text") == vector
        assert again.embed_batch_size == 256
    another = becomes_another(bundle)
    for opened in (lambda: SestinaEmbedding.from_dict(kept), lambda: pickle.loads(pickled)):
        with pytest.raises(sestina.BundleIntegrityError, match=f"{another}.*{model.space}"):
            opened()

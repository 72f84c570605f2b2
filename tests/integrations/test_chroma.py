"""Chroma's own persistent client, with our embedding function."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import chromadb
import numpy as np
import pytest

import sestina
from sestina.integrations.chroma import SestinaEmbeddingFunction

REOPENED = """
import sys, chromadb, sestina.integrations.chroma
collection = chromadb.PersistentClient(sys.argv[1]).get_collection("texts")
print(collection.query(query_texts=[sys.argv[2]], n_results=1)["ids"][0][0])
"""


def filled(folder: Path, function: SestinaEmbeddingFunction, documents: list[str]) -> chromadb.Collection:
    collection = chromadb.PersistentClient(str(folder)).create_collection(
        "texts", embedding_function=function
    )
    collection.add(ids=[str(at) for at in range(len(documents))], documents=documents)
    return collection


@pytest.mark.parametrize("own", [False, True], ids=["in the box", "by path"])
def test_it_is_saved_and_found_in_a_new_process(
    own: bool,
    bundle: Path,
    tmp_path: Path,
    documents: list[str],
    query: str,
    in_a_new_process: Callable[..., str],
) -> None:
    collection = filled(tmp_path / "db", SestinaEmbeddingFunction(bundle if own else None), documents)
    assert collection.configuration["hnsw"]["space"] == "cosine"
    assert collection.query(query_texts=[query], n_results=1)["ids"] == [["1"]]
    assert in_a_new_process(REOPENED, tmp_path / "db", query) == "1"


def test_another_model_in_its_place_is_refused(
    bundle: Path,
    tmp_path: Path,
    documents: list[str],
    becomes_another: Callable[[Path], str],
    encoder: sestina.Encoder,
) -> None:
    filled(tmp_path / "db", SestinaEmbeddingFunction(bundle), documents)
    another = becomes_another(bundle)
    collection = chromadb.PersistentClient(str(tmp_path / "db")).get_collection("texts")
    with pytest.raises(ValueError, match=f"{another}.*{encoder.space}"):
        collection.query(query_texts=["a text"])


def test_a_function_of_another_space_is_refused(
    other: Path, tmp_path: Path, documents: list[str], encoder: sestina.Encoder
) -> None:
    filled(tmp_path / "db", SestinaEmbeddingFunction(), documents)
    client, wrong = chromadb.PersistentClient(str(tmp_path / "db")), SestinaEmbeddingFunction(other)
    for collection in (
        client.get_collection("texts", embedding_function=wrong),
        client.get_or_create_collection("texts", embedding_function=wrong),
    ):
        with pytest.raises(sestina.BundleIntegrityError, match=encoder.space):
            collection.query(query_texts=["a text"])
        with pytest.raises(sestina.BundleIntegrityError, match=encoder.space):
            collection.upsert(ids=["9"], documents=["a text"])
        assert collection.count() == len(documents)
    right = client.get_collection("texts", embedding_function=SestinaEmbeddingFunction(encoder))
    right.upsert(ids=["9"], documents=["a text"])
    whole = SestinaEmbeddingFunction(dimensions=encoder.dimensions)
    client.get_collection("texts", embedding_function=whole).query(query_texts=["a text"])
    with pytest.raises(sestina.BundleIntegrityError, match="dimensions is 8"):
        client.get_collection("texts", embedding_function=SestinaEmbeddingFunction(dimensions=8)).query(
            query_texts=["a text"]
        )


def test_documents_and_queries_have_prompts_of_their_own(
    prompted: object, tmp_path: Path, encoder: sestina.Encoder
) -> None:
    collection = filled(tmp_path / "db", SestinaEmbeddingFunction(encoder), ["a"])
    stored = collection.get(include=["embeddings"])["embeddings"]
    assert np.array_equal(np.float32(stored), encoder.encode(["document: a"]))
    collection.query(query_texts=["a"])
    assert prompted.asked[-1] == ("query", ["a"])  # type: ignore[attr-defined]


def test_an_empty_text_is_neither_stored_nor_asked(tmp_path: Path, encoder: sestina.Encoder) -> None:
    collection = filled(tmp_path / "db", SestinaEmbeddingFunction(encoder), ["a text"])
    with pytest.raises(sestina.TextValueError, match="document 1 is empty"):
        collection.add(ids=["1", "2"], documents=["b", " "])
    with pytest.raises(sestina.TextValueError, match="query 0 is empty"):
        collection.query(query_texts=[""])
    assert collection.count() == 1


def test_what_it_keeps(bundle: Path, encoder: sestina.Encoder) -> None:
    function = SestinaEmbeddingFunction(bundle, dimensions=16)
    kept = function.get_config()
    assert kept == {"encoder": str(bundle), "space": encoder.space, "dimensions": 16}
    SestinaEmbeddingFunction.validate_config(kept)
    again = SestinaEmbeddingFunction.build_from_config(kept)
    assert np.array_equal(again(["a text"]), function(["a text"]))
    assert not function.is_legacy()
    with pytest.raises(sestina.OptionError, match="'model' is no option"):
        SestinaEmbeddingFunction.validate_config({"model": "x"})
    function.validate_config_update(kept, {**kept, "encoder": "elsewhere"})
    with pytest.raises(sestina.BundleIntegrityError):
        function.validate_config_update(kept, {**kept, "space": "another"})

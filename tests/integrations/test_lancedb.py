"""LanceDB's own tables, with our embedding function."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import lancedb
import numpy as np
import pyarrow as pa
import pytest
from lancedb.embeddings import get_registry
from lancedb.pydantic import LanceModel, Vector

import sestina
from sestina.integrations.lancedb import SestinaEmbeddings

REOPENED = """
import sys, lancedb, sestina.integrations.lancedb
table = lancedb.connect(sys.argv[1]).open_table("texts")
print(table.search(sys.argv[2]).limit(1).to_list()[0]["text"])
table.add([{"text": "added later"}])
"""


def made(folder: Path, function: SestinaEmbeddings, texts: list[str]) -> lancedb.table.Table:
    class Row(LanceModel):
        text: str | None = function.SourceField()
        vector: Vector(function.ndims(), nullable=True) | None = function.VectorField(default=None)  # type: ignore[valid-type]

    table = lancedb.connect(folder).create_table("texts", schema=Row)
    table.add(pa.table({"text": texts}))
    return table


@pytest.mark.parametrize("own", [False, True], ids=["in the box", "by path"])
def test_it_is_registered_saved_and_found_in_a_new_process(
    own: bool,
    bundle: Path,
    tmp_path: Path,
    documents: list[str],
    query: str,
    in_a_new_process: Callable[..., str],
) -> None:
    function = get_registry().get("sestina").create(**({"encoder": str(bundle)} if own else {}))
    table = made(tmp_path / "db", function, documents)
    assert table.search(query).limit(1).to_list()[0]["text"] == documents[1]
    assert in_a_new_process(REOPENED, tmp_path / "db", query) == documents[1]
    table.checkout_latest()
    assert table.count_rows() == len(documents) + 1


def test_another_model_in_its_place_is_refused(
    bundle: Path,
    tmp_path: Path,
    documents: list[str],
    becomes_another: Callable[[Path], str],
    encoder: sestina.Encoder,
) -> None:
    made(tmp_path / "db", SestinaEmbeddings(bundle), documents)
    another = becomes_another(bundle)
    table = lancedb.connect(tmp_path / "db").open_table("texts")
    with pytest.raises(sestina.BundleIntegrityError, match=f"{another}.*{encoder.space}"):
        table.search("a text").limit(1).to_list()
    with pytest.raises(sestina.BundleIntegrityError, match=f"{another}.*{encoder.space}"):
        table.add([{"text": "a text"}])


def test_a_place_may_be_a_variable(
    bundle: Path, tmp_path: Path, documents: list[str], encoder: sestina.Encoder
) -> None:
    function = get_registry().get("sestina").create(encoder=f"$var:sestina_bundle:{bundle}")
    made(tmp_path / "db", function, documents)
    moved = bundle.rename(tmp_path / "moved.sestina")
    get_registry().set_var("sestina_bundle", str(moved))
    table = lancedb.connect(tmp_path / "db").open_table("texts")
    assert table.search(documents[0]).limit(1).to_list()[0]["text"] == documents[0]


def test_source_and_query_have_prompts_of_their_own(
    prompted: object, tmp_path: Path, encoder: sestina.Encoder
) -> None:
    table = made(tmp_path / "db", SestinaEmbeddings(encoder), ["a"])
    assert np.array_equal(np.float32(table.to_arrow()["vector"].to_pylist()), encoder.encode(["document: a"]))
    table.search("a").limit(1).to_list()
    assert prompted.asked[-1] == ("query", ["a"])  # type: ignore[attr-defined]


def test_nulls_and_empty_texts_have_no_vector(encoder: sestina.Encoder) -> None:
    function = SestinaEmbeddings(encoder)
    for texts in (
        pa.array(["a", None, "", "b"]),
        ["a", None, "", "b"],
        pa.chunked_array([["a", None], ["", "b"]]),
    ):
        with pytest.warns(UserWarning, match="1 of 4 texts are empty and have no vector; the first is row 2"):
            vectors = function.compute_source_embeddings_with_retry(texts)
        assert [vector is None for vector in vectors] == [False, True, True, False]
        assert np.array_equal(vectors[3], encoder.encode("b"))
    assert function.compute_source_embeddings(pa.array([], pa.string())) == []
    assert function.compute_source_embeddings([None]) == [None]
    for wrong in (3, 0, False):
        with pytest.raises(sestina.TextTypeError, match=f"row 1 is {type(wrong).__name__}"):
            function.compute_source_embeddings(["a", wrong])


def test_an_empty_text_with_a_prompt_has_no_vector(prompted: object) -> None:
    with pytest.warns(UserWarning, match="1 of 2 texts are empty"):
        vectors = SestinaEmbeddings().compute_source_embeddings(["a", " "])
    assert [vector is None for vector in vectors] == [False, True]


def test_no_null_or_empty_text_is_near(tmp_path: Path, documents: list[str], query: str) -> None:
    function = SestinaEmbeddings()
    table = made(tmp_path / "db", function, documents)
    with pytest.warns(UserWarning, match="empty"):
        table.add(pa.table({"text": ["", None, *documents]}), on_bad_vectors="null")
    assert table.count_rows() == 2 * len(documents) + 2
    found = table.search(query).limit(20).to_list()
    assert found[0]["text"] == documents[1]
    assert not [row for row in found if not row["text"]]


def test_an_empty_query_is_refused_at_once(tmp_path: Path, documents: list[str]) -> None:
    table = made(tmp_path / "db", SestinaEmbeddings(), documents)
    begun = time.monotonic()
    with pytest.raises(sestina.TextValueError, match="query 0 is empty"):
        table.search("").limit(1).to_list()
    assert time.monotonic() - begun < 5

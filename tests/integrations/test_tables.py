"""DuckDB's own SQL and Polars' own frames, with our functions."""

from __future__ import annotations

from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pytest

import sestina
import sestina.integrations.polars  # registers .sestina
from sestina.integrations.duckdb import register


def test_sql_finds_what_is_near(documents: list[str], query: str, encoder: sestina.Encoder) -> None:
    con = duckdb.connect()
    register(con)
    texts = pa.table({"text": [*documents, None]})  # noqa: F841  DuckDB finds it by name
    con.execute("CREATE TABLE found AS SELECT text, sestina_encode(text) AS vector FROM texts")
    kind = con.execute("SELECT typeof(vector) FROM found LIMIT 1").fetchone()
    assert kind == (f"FLOAT[{encoder.dimensions}]",)
    near = con.execute(
        "SELECT text FROM found WHERE vector IS NOT NULL "
        "ORDER BY array_cosine_similarity(vector, sestina_encode_query($1)) DESC LIMIT 1",
        [query],
    ).fetchone()
    assert near == (documents[1],)
    vectors = [row[0] for row in con.execute("SELECT vector FROM found WHERE text IS NOT NULL").fetchall()]
    assert np.array_equal(np.float32(vectors), encoder.encode(documents))
    assert con.execute("SELECT count(*) FROM found WHERE vector IS NULL").fetchone() == (1,)
    assert con.execute("SELECT sestina_encode_space()").fetchone() == (encoder.space,)


def test_sql_over_many_rows(encoder: sestina.Encoder) -> None:
    con = duckdb.connect()
    register(con, encoder, dimensions=4)
    con.execute("CREATE TABLE t AS SELECT i, 'text ' || i % 97 AS text FROM range(5000) r(i)")
    rows = con.execute("SELECT i, sestina_encode(text) FROM t ORDER BY i").fetchall()
    wanted = encoder.encode([f"text {at % 97}" for at in range(5000)], dimensions=4)
    assert np.array_equal(np.float32([row[1] for row in rows]), wanted)


@pytest.mark.parametrize("with_prompts", [False, True])
def test_an_empty_text_in_sql_has_no_vector(
    with_prompts: bool, request: pytest.FixtureRequest, encoder: sestina.Encoder
) -> None:
    if with_prompts:
        request.getfixturevalue("prompted")
    con = duckdb.connect()
    register(con, encoder)
    texts = pa.table({"text": ["a", "", None, " "]})  # noqa: F841
    with pytest.warns(UserWarning, match="2 of 4 texts are empty"):
        rows = con.execute("SELECT sestina_encode(text) IS NULL FROM texts").fetchall()
    assert rows == [(False,), (True,), (True,), (True,)]


def test_names_and_prompts_in_sql(prompted: object, encoder: sestina.Encoder) -> None:
    con = duckdb.connect()
    register(con, encoder, name="embed")
    for function, kind in (("embed", "document"), ("embed_query", "query")):
        (vector,) = con.execute(f"SELECT {function}('a')").fetchone() or ()
        assert np.array_equal(np.float32(vector), encoder.encode(f"{kind}: a"))


def test_another_space_is_refused(other: Path, encoder: sestina.Encoder) -> None:
    with pytest.raises(sestina.BundleIntegrityError, match=encoder.space):
        register(duckdb.connect(), other, space=encoder.space)
    with pytest.raises(sestina.BundleIntegrityError, match=encoder.space):
        pl.col("text").sestina.encode(other, space=encoder.space)  # type: ignore[attr-defined]


def test_polars_expressions(documents: list[str], encoder: sestina.Encoder) -> None:
    frame = pl.DataFrame({"text": [None, *documents, None], "id": range(len(documents) + 2)})
    vector = pl.col("text").sestina.encode()  # type: ignore[attr-defined]
    for done in (
        frame.with_columns(vector.alias("vector")),
        frame.lazy().with_columns(vector.alias("vector")).collect(),
        frame.with_columns(frame["text"].sestina.encode().alias("vector")),  # type: ignore[attr-defined]
    ):
        assert done.schema["vector"] == pl.Array(pl.Float32, encoder.dimensions)
        assert done["vector"].is_null().to_list() == [True, False, False, False, True]
        assert np.array_equal(done["vector"].drop_nulls().to_numpy(), encoder.encode(documents))
    assert frame.lazy().with_columns(vector.alias("v")).collect_schema()["v"] == pl.Array(pl.Float32, 512)


def test_an_empty_text_with_a_prompt_in_polars_has_no_vector(prompted: object) -> None:
    with pytest.warns(UserWarning, match="1 of 2 texts are empty"):
        vectors = pl.Series(["a", " "]).sestina.encode()  # type: ignore[attr-defined]
    assert vectors.is_null().to_list() == [False, True]


def test_an_empty_text_in_polars_has_no_vector(encoder: sestina.Encoder) -> None:
    series = pl.Series("text", ["", "a", None, " ", "b"])
    with pytest.warns(UserWarning, match="2 of 5 texts are empty"):
        vectors = series.sestina.encode(encoder, dimensions=2)  # type: ignore[attr-defined]
    assert vectors.is_null().to_list() == [True, False, True, True, False]
    assert vectors.name == "text"
    assert np.array_equal(vectors.drop_nulls().to_numpy(), encoder.encode(["a", "b"], dimensions=2))
    for few in ([], [None, None]):
        given = pl.Series("text", few, dtype=pl.String)
        assert given.sestina.encode(encoder).is_null().to_list() == [True] * len(few)  # type: ignore[attr-defined]


def test_a_kind_that_there_is_not(encoder: sestina.Encoder) -> None:
    for given in (pl.col("text"), pl.Series(["a"])):
        with pytest.raises(sestina.OptionError, match="kind is 'passage'"):
            given.sestina.encode(encoder, kind="passage")  # type: ignore[union-attr]


def test_prompts_in_polars(prompted: object, encoder: sestina.Encoder) -> None:
    for kind in ("query", "document"):
        vectors = pl.Series(["a"]).sestina.encode(encoder, kind=kind)  # type: ignore[attr-defined]
        assert np.array_equal(vectors.to_numpy(), encoder.encode([f"{kind}: a"]))

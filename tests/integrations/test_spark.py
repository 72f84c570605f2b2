"""Spark's own workers, two on this machine, with our vectors."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sestina

pytest.importorskip("pyspark", reason="pyspark is not installed: make test-cluster")
from _cluster import HAS_JAVA, NEEDS_JAVA

if not HAS_JAVA:
    pytest.skip(NEEDS_JAVA, allow_module_level=True)

from sestina.integrations import spark as module
from sestina.integrations.spark import with_vectors


@pytest.fixture(scope="module")
def spark() -> Iterator[Any]:
    from pyspark.sql import SparkSession

    os.environ |= {
        "PYSPARK_PYTHON": sys.executable,
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "SPARK_LOCAL_IP": "127.0.0.1",
    }
    build = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
    session = build.config("spark.driver.host", "127.0.0.1").getOrCreate()
    yield session
    session.stop()


def frame(spark: Any, rows: list[tuple[int, str | None]], parts: int = 4) -> Any:
    return spark.createDataFrame(rows, "id long, text string").repartition(parts)


def test_vectors_are_those_of_one_process(spark: Any, encoder: sestina.Encoder) -> None:
    given = [(at, f"text {at}") for at in range(300)]
    made = with_vectors(frame(spark, given))
    assert made.schema.simpleString() == "struct<id:bigint,text:string,vector:array<float>>"
    rows = sorted(made.collect(), key=lambda row: row.id)
    assert [(row.id, row.text) for row in rows] == given
    wanted = encoder.encode_document([text for _, text in given])
    assert np.array_equal(np.float32([row.vector for row in rows]), wanted)
    short = with_vectors(frame(spark, given[:3]), vector_column="v", dimensions=8, encoder=encoder)
    rows = sorted(short.collect(), key=lambda row: row.id)
    assert np.array_equal(
        np.float32([row.v for row in rows]),
        encoder.encode_document([text for _, text in given[:3]], dimensions=8),
    )


def test_nulls_and_empty_texts_have_no_vector(spark: Any, encoder: sestina.Encoder) -> None:
    given = [(0, "a"), (1, None), (2, ""), (3, " "), (4, "b"), (5, None)]
    for parts in (1, 4):
        rows = sorted(with_vectors(frame(spark, given, parts)).collect(), key=lambda row: row.id)
        assert [row.vector is None for row in rows] == [False, True, True, True, False, True]
        wanted = encoder.encode_document(["a", "b"])
        assert np.array_equal(np.float32([rows[0].vector, rows[4].vector]), wanted)
    assert with_vectors(frame(spark, [])).collect() == []
    for options, there in (
        ({"on_null": "zero"}, [True, True, False, False, True, True]),
        ({"on_empty": "zero"}, [True, False, True, True, True, False]),
        ({"on_null": "zero", "on_empty": "zero"}, [True] * 6),
    ):
        made = with_vectors(frame(spark, given), **options)  # type: ignore[arg-type]
        rows = sorted(made.collect(), key=lambda row: row.id)
        assert [row.vector is not None for row in rows] == there, options
        assert np.array_equal(np.float32([rows[0].vector, rows[4].vector]), wanted)
        assert not any(any(rows[at].vector or []) for at in (1, 2, 3, 5))


def test_a_process_loads_an_encoder_once(bundle: Path) -> None:
    """Spark gives a worker many tasks, and each asks for its encoder by the recipe that the driver wrote."""
    source = module.Source(bundle)
    recipe = (source.path, source.space, source.encoder.report().precision, None)
    first, again, shorter = (module._source(each) for each in (recipe, recipe, (*recipe[:3], 4)))
    assert first is again
    assert first.encoder is again.encoder
    assert (first is shorter, first.dimensions, shorter.dimensions) == (False, source.dimensions, 4)


def test_a_bundle_that_spark_brings(
    spark: Any, bundle: Path, encoder: sestina.Encoder, tmp_path: Path
) -> None:
    packed = shutil.make_archive(str(tmp_path / "own"), "zip", bundle)
    spark.sparkContext.addArchive(f"{packed}#{bundle.name}")
    made = with_vectors(frame(spark, [(0, "a")]), encoder=bundle)
    shutil.rmtree(bundle)
    assert np.array_equal(np.float32(made.collect()[0].vector), encoder.encode_document("a"))


def test_what_cannot_be(
    spark: Any, encoder: sestina.Encoder, other: Path, bundle: Path, becomes_another: Any
) -> None:
    given = frame(spark, [(7, "a " * 2000)])
    for options, error, said in (
        ({"column": "body"}, sestina.InputError, "there must be one column 'body'; there are id, text"),
        ({"column": "id"}, sestina.InputError, "column 'id' is bigint; it must be string"),
        ({"vector_column": "id"}, sestina.InputError, "there is a column 'id' already"),
        ({"encoder": other, "space": encoder.space}, sestina.BundleIntegrityError, encoder.space),
        ({"on_truncate": "loudly"}, sestina.OptionError, "loudly"),
        ({"dimensions": 0}, sestina.OptionError, "dimensions"),
        ({"output": "int8"}, sestina.OptionError, "output is 'int8'; a column of vectors is float32"),
        ({"on_empty": "leave"}, sestina.OptionError, "leave"),
    ):
        with pytest.raises(error, match=said):
            with_vectors(given, **options)  # type: ignore[arg-type]
    from pyspark.errors import PythonException

    with pytest.raises(
        PythonException, match="TruncationError: id 7, column 'text': has more than 256 tokens"
    ):
        with_vectors(given, id_column="id", on_truncate="error").collect()
    for text, option, error, said in (
        (None, "on_null", "TextTypeError", "is null; it must be str"),
        (" ", "on_empty", "EmptyTextError", "is empty: "),
    ):
        refusing = with_vectors(frame(spark, [(0, "a"), (9, text)], 1), id_column="id", **{option: "error"})
        with pytest.raises(PythonException, match=f"{error}: id 9, column 'text': {said}"):
            refusing.collect()
    made = with_vectors(frame(spark, [(0, "a")]), encoder=bundle)
    becomes_another(bundle)
    with pytest.raises(PythonException, match=f"BundleIntegrityError.*{encoder.space}"):
        made.collect()

"""Spark: a DataFrame with vectors of a column of texts, made where its partitions are."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np

import sestina
from sestina.integrations._empty import empty_rows, warn_empty
from sestina.integrations._encoder import EncoderArgument, Kind, Source
from sestina.integrations._host import Host
from sestina.integrations._rows import OF_A_TEXT, encode_rows, named

with Host("pyspark pyarrow pandas"):
    from pyspark import SparkFiles, TaskContext
    from pyspark.sql import DataFrame
    from pyspark.sql.types import ArrayType, FloatType, StringType, StructField, StructType

with Host("pyspark pyarrow pandas"):  # which Spark needs for it too
    import pyarrow as pa

# Of this worker: Spark gives the same process many tasks, and an encoder is loaded once.
_opened: dict[tuple[Any, ...], Source] = {}


def with_vectors(
    frame: DataFrame,
    column: str = "text",
    *,
    encoder: EncoderArgument = None,
    vector_column: str = "vector",
    id_column: str | None = None,
    kind: Kind | None = "document",
    dimensions: int | None = None,
    space: str | None = None,
    **options: Any,
) -> DataFrame:
    """The same rows with a column of vectors, `array<float>`. It is as lazy as every DataFrame.

    The bundle of a path is loaded once a worker process, an `Encoder` once a task, with the threads of
    `spark.task.cpus`. The vector of a null is null, and that of an empty text too, with a warning in the
    worker's log, unless `on_null` and `on_empty` say otherwise.

    Args:
        frame: What has the texts.
        column: Their name.
        encoder: The path of a bundle, an `Encoder`, or None for the encoder in the box. The workers look for
            it at the same path, and where that is not there under its name in the files that Spark brought
            (`sparkContext.addArchive("minilm.zip#minilm.sestina")`).
        vector_column: What the column of vectors is called.
        id_column: A column that names a row in errors; None: its place in a batch does.
        kind: Which prompts of the bundle the texts get: those of a "document" or of a "query"; None: neither.
        dimensions: Keep only the first so many; None: all.
        space: The space that the bundle must be of; None: any. Workers take only what the driver has.
        options: Of `Encoder.encode`: on_truncate, on_null, on_empty, prompt and so on. Vectors are float32.

    Raises:
        InputError: Where there is no such column of texts, or one of vectors already.
        BundleIntegrityError: Where the bundle is of another space.
        OptionError: Where an option is not allowed.
        SestinaError: As `sestina.load`; as `Encoder.encode` in the workers.
    """
    source = Source(encoder, space=space, dimensions=dimensions)
    encode_rows(source, [], kind, options)  # what cannot be is refused now
    for name in [column] if id_column is None else [column, id_column]:
        if frame.columns.count(name) != 1:
            there = ", ".join(frame.columns) or "none"
            raise sestina.InputError(f"there must be one column {name!r}; there are {there}")
    if not isinstance(frame.schema[column].dataType, StringType):
        raise sestina.InputError(
            f"column {column!r} is {frame.schema[column].dataType.simpleString()}; it must be string"
        )
    if vector_column in frame.columns:
        raise sestina.InputError(f"there is a column {vector_column!r} already: pass vector_column")
    vectors = StructField(vector_column, ArrayType(FloatType(), containsNull=False))
    recipe = (source.path, source.space, source.encoder.report().precision, dimensions)
    given = source if source.given else None

    def batches(found: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        there = given or _source(recipe)
        encode = partial(encode_rows, there, kind=kind, options=options)
        for batch in found:
            texts = batch.column(batch.schema.get_field_index(column))
            ids = None if id_column is None else batch.column(batch.schema.get_field_index(id_column))
            rows, vectors = _encoded(texts, encode, column, (id_column, ids), options)
            arrays = _lists(len(batch), rows, vectors, there.dimensions)
            schema = batch.schema.append(pa.field(vector_column, arrays.type))
            yield pa.RecordBatch.from_arrays([*batch.columns, arrays], schema=schema)

    return frame.mapInArrow(batches, StructType([*frame.schema.fields, vectors]))


def _source(recipe: tuple[str | None, str, str, int | None]) -> Source:
    """The encoder of this worker.

    Raises:
        BundleIntegrityError: Where what lies there is of another space than what the driver has.
    """
    path, space, precision, dimensions = recipe
    context = TaskContext.get()
    key = (*recipe, 1 if context is None else context.cpus())
    if key not in _opened:
        if path is not None and not os.path.exists(path):  # noqa: PTH110
            brought = SparkFiles.get(os.path.basename(path))  # noqa: PTH119
            path = brought if os.path.exists(brought) else path  # noqa: PTH110
        loaded = sestina.load(path, precision=precision, threads=key[-1])
        _opened[key] = Source(loaded, space=space, dimensions=dimensions)
    return _opened[key]


def _encoded(
    texts: Any,
    encode: Callable[[Any], Any],
    column: str,
    ids: tuple[str | None, Any],
    options: Mapping[str, Any],
) -> tuple[Any, Any]:
    """Which rows of a batch have a vector, (m,) int64, and their vectors, (m, d) float32.

    Raises:
        SestinaError: As `Encoder.encode`; the message names the row.
    """
    there = np.asarray(texts.is_valid())
    rows = np.arange(len(texts)) if "on_null" in options else np.flatnonzero(there)
    given = texts.take(pa.array(rows))
    try:
        vectors = encode(given)
    except OF_A_TEXT as error:
        name, values = ids
        known = None if name is None else (name, values.take(pa.array(rows)))
        raise named(error, given, encode, column, known) from None
    if "on_empty" in options:
        return rows, vectors
    empty = [at for at in empty_rows(vectors, given.to_pylist()) if there[rows[at]]]
    warn_empty(rows[empty].tolist(), len(texts))
    return np.delete(rows, empty), np.delete(vectors, empty, axis=0)


def _lists(length: int, rows: Any, vectors: Any, width: int) -> Any:
    """A column of lists as long as the batch, null in all rows but these."""
    filled = np.zeros(length, bool)
    filled[rows] = True
    ends = np.concatenate([[0], np.cumsum(filled) * width]).astype(np.int32)
    kind = pa.list_(pa.field("element", pa.float32(), nullable=False))
    return pa.ListArray.from_arrays(
        pa.array(ends), pa.array(vectors.reshape(-1)), type=kind, mask=pa.array(~filled)
    )

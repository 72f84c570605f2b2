"""DuckDB: functions of SQL that turn a column of texts into vectors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from sestina.integrations._empty import empty_rows, warn_empty
from sestina.integrations._encoder import EncoderArgument, Kind, Source
from sestina.integrations._host import Host

with Host("duckdb pyarrow"):
    import duckdb
    import pyarrow as pa


def register(
    con: Any,
    encoder: EncoderArgument = None,
    *,
    name: str = "sestina_encode",
    space: str | None = None,
    dimensions: int | None = None,
) -> None:
    """Give a connection functions for an encoder. They last as long as the connection.

    `sestina_encode(text)` is the vector of a document, FLOAT[d]; `sestina_encode_query(text)` that of a
    query; `sestina_encode_space()` is the fingerprint of their space, to be kept beside vectors. The vector
    of a null is null, and that of an empty text too, with a warning: no NaN is sorted before what is near.

    Args:
        con: A connection of DuckDB.
        encoder: The path of a bundle, an `Encoder`, or None for the encoder in the box.
        name: Of the first function; the others' begin with it.
        space: The space of the vectors that a table has already; None: not checked.
        dimensions: Keep only the first so many; None: all.

    Raises:
        BundleIntegrityError: Where the bundle is of another space.
        OptionError: Where `dimensions` is not allowed.
        SestinaError: As `sestina.load`.
    """
    source = Source(encoder, space=space, dimensions=dimensions)
    vectors, texts = f"FLOAT[{source.dimensions}]", [duckdb.sqltype("VARCHAR")]
    kinds: tuple[tuple[str, Kind], ...] = ((name, "document"), (f"{name}_query", "query"))
    for function, kind in kinds:
        con.create_function(
            function,
            _function(source, kind),
            texts,
            duckdb.sqltype(vectors),
            type="arrow",
            null_handling="special",
        )
    found = source.space
    con.create_function(f"{name}_space", lambda: found, [], duckdb.sqltype("VARCHAR"))


def _function(source: Source, kind: Kind) -> Callable[[Any], Any]:
    return lambda column: _encoded(source, column, kind)


def _encoded(source: Source, column: Any, kind: Kind) -> Any:
    """A FixedSizeList of float32 as long as the column, null where the text is null or empty."""
    rows = np.flatnonzero(np.asarray(column.is_valid()))
    texts = column.drop_null().to_pylist()
    vectors = source.encode(texts, kind, empty="zero")
    all_vectors = np.zeros((len(column), source.dimensions), np.float32)
    all_vectors[rows] = vectors
    null = np.ones(len(column), bool)
    null[rows] = False
    empty = rows[empty_rows(vectors, texts)]
    null[empty] = True
    warn_empty(empty.tolist(), len(column))
    return pa.FixedSizeListArray.from_arrays(
        pa.array(all_vectors.reshape(-1)), source.dimensions, mask=pa.array(null)
    )

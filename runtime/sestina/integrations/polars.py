"""Polars: vectors of a column as an expression, `pl.col("text").sestina.encode()`."""

from __future__ import annotations

from typing import Any

from sestina.integrations._empty import empty_rows, warn_empty
from sestina.integrations._encoder import EncoderArgument, Kind, Source, way
from sestina.integrations._host import Host

with Host("polars"):
    import polars as pl


@pl.api.register_expr_namespace("sestina")
class SestinaExpression:
    """What an expression of texts has under `.sestina`. Made by polars.

    Args:
        expression: Of texts.
    """

    def __init__(self, expression: pl.Expr) -> None:
        self._expression = expression

    def encode(
        self,
        encoder: EncoderArgument = None,
        *,
        kind: Kind = "document",
        space: str | None = None,
        dimensions: int | None = None,
    ) -> pl.Expr:
        """Vectors of the texts, as an Array of d Float32.

        The vector of a null is null, and that of an empty text too, with a warning.

        Args:
            encoder: The path of a bundle, an `Encoder`, or None for the encoder in the box.
            kind: Which prompts of the bundle the texts get: those of a "document" or of a "query".
            space: The space that it must be of; None: not checked.
            dimensions: Keep only the first so many; None: all.

        Raises:
            BundleIntegrityError: Where the bundle is of another space.
            OptionError: Where `kind` or `dimensions` is not allowed.
            SestinaError: As `sestina.load`; as `Encoder.encode` where the expression is evaluated.
        """
        source = Source(encoder, space=space, dimensions=dimensions)
        way(source.encoder, kind)  # a kind that there is not is refused now
        vectors = pl.Array(pl.Float32, source.dimensions)
        return self._expression.map_batches(
            lambda texts: _encoded(source, texts, kind, vectors), return_dtype=vectors, is_elementwise=True
        )


@pl.api.register_series_namespace("sestina")
class SestinaSeries:
    """What a Series of texts has under `.sestina`. Made by polars.

    Args:
        series: Of texts.
    """

    def __init__(self, series: pl.Series) -> None:
        self._series = series

    def encode(
        self,
        encoder: EncoderArgument = None,
        *,
        kind: Kind = "document",
        space: str | None = None,
        dimensions: int | None = None,
    ) -> pl.Series:
        """As that of an expression, at once."""
        source = Source(encoder, space=space, dimensions=dimensions)
        return _encoded(source, self._series, kind, pl.Array(pl.Float32, source.dimensions))


def _encoded(source: Source, texts: pl.Series, kind: Kind, dtype: Any) -> pl.Series:
    there = texts.is_not_null()
    given = texts.filter(there)
    vectors = source.encode(given, kind, empty="zero")
    empty = empty_rows(vectors, given.to_list())
    found = pl.Series(texts.name, vectors, dtype=dtype)
    if empty:
        warn_empty(there.arg_true().gather(empty).to_list(), len(texts))
        keep = pl.Series([True] * len(found))
        keep[empty] = False
        found = found.to_frame().select(pl.when(keep).then(pl.col(texts.name))).to_series()
    if there.all():
        return found
    where = there.cum_sum().cast(pl.Int64) - 1
    return found.gather(where.zip_with(there, pl.Series([None], dtype=pl.Int64)))

"""LanceDB: a function that embeds the source column of a table, and what is searched for in it.

Import this module before a table is opened that was made with it: LanceDB finds functions by name.
"""

from __future__ import annotations

from typing import Any

from sestina.integrations._empty import empty_rows, warn_empty
from sestina.integrations._encoder import EncoderArgument, Source, checked_texts
from sestina.integrations._host import Host

with Host("lancedb"):
    from lancedb.embeddings import EmbeddingFunction, register
    from pydantic import PrivateAttr


@register("sestina")
class SestinaEmbeddings(EmbeddingFunction):
    """Embeddings of a bundle, registered as "sestina".

    Source and query get the prompts that the bundle has for each. The table keeps the place of the bundle and
    the space; where it is opened again another space is refused. The vector of a null is null. That of an
    empty text is null too, with a warning, and LanceDB's `on_bad_vectors` says what becomes of the row; an
    empty query is refused.

    Args:
        encoder: The path of a bundle, an `Encoder`, or None for the encoder in the box. A path given as
            "$var:name:default" is looked up by LanceDB where the table is opened.
        space: The space of the vectors that a table has already; None: not checked.
        dimensions: Keep only the first so many; None: all.

    Raises:
        BundleIntegrityError: Where the bundle is of another space.
        OptionError: Where `dimensions` is not allowed.
        SestinaError: As `sestina.load`.
    """

    encoder: str | None = None
    space: str | None = None
    dimensions: int | None = None
    _source: Source = PrivateAttr()
    _kept: dict[str, Any] = PrivateAttr()

    def __init__(
        self,
        encoder: EncoderArgument = None,
        *,
        space: str | None = None,
        dimensions: int | None = None,
        **options: Any,
    ) -> None:
        source = Source(encoder, space=space, dimensions=dimensions)
        found = source.encoder.space
        options.setdefault("max_retries", 0)
        super().__init__(encoder=source.path, space=found, dimensions=dimensions, **options)
        self._source = source
        self._kept = {"encoder": source.path, "space": found, "dimensions": dimensions}

    @classmethod
    def create(cls, encoder: EncoderArgument = None, **options: Any) -> SestinaEmbeddings:
        """Make one, as LanceDB does where it opens a table."""
        if not isinstance(encoder, str):
            return cls(encoder, **options)
        made: SestinaEmbeddings = super().create(encoder=encoder, **options)
        if encoder.startswith("$var:"):
            made._kept = {**made._kept, "encoder": encoder}
        return made

    def safe_model_dump(self) -> dict[str, Any]:
        """What a table keeps of it."""
        return dict(self._kept)

    def ndims(self) -> int:
        """d, the width of the vectors."""
        return self._source.dimensions

    def compute_query_embeddings(self, query: str, *_: Any, **__: Any) -> list[Any]:
        """The vector of what is searched for, in a list.

        Raises:
            TextTypeError, TextValueError: Where it is no text, or is empty.
        """
        return list(self._source.encode(checked_texts([query], "query"), "query"))

    def compute_source_embeddings(self, texts: Any, *_: Any, **__: Any) -> list[Any]:
        """A vector for each text of the column; None for a null and for an empty text.

        Raises:
            TextTypeError: Where something else is in it; the message has the row.
        """
        listed = list(self.sanitize_input(texts))
        rows = [at for at, text in enumerate(listed) if text is not None]
        checked_texts(["" if text is None else text for text in listed])
        there = [listed[at] for at in rows]
        vectors = self._source.encode(there, "document", empty="zero")
        found: list[Any] = [None] * len(listed)
        for at, vector in zip(rows, vectors, strict=True):
            found[at] = vector
        empty = [rows[at] for at in empty_rows(vectors, there)]
        for at in empty:
            found[at] = None
        warn_empty(empty, len(listed))
        return found

    # LanceDB would try again for minutes what another try does not mend, and then hide what it was.
    def compute_query_embeddings_with_retry(self, *arguments: Any, **options: Any) -> list[Any]:
        """`compute_query_embeddings`."""
        return self.compute_query_embeddings(*arguments, **options)

    def compute_source_embeddings_with_retry(self, *arguments: Any, **options: Any) -> list[Any]:
        """`compute_source_embeddings`."""
        return self.compute_source_embeddings(*arguments, **options)

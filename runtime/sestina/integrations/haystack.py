"""Haystack: components that embed the text of a query and the documents of a store, and one that ranks.

Import this module before a pipeline that has one is loaded: Haystack takes classes of modules it was told of.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from sestina._arguments import one_of
from sestina.integrations._empty import empty_rows, refuse_empty, warn_empty
from sestina.integrations._encoder import EncoderArgument, Source, checked_texts
from sestina.integrations._haystack import Kept, each_once, texts_of
from sestina.integrations._host import Host
from sestina.integrations._reranker import RerankerArgument, RerankerSource, count_or_all
from sestina.integrations._waiting import Waiting

with Host("haystack-ai"):
    from haystack import Document, component, default_to_dict
    from haystack.core.serialization import allow_deserialization_module

if TYPE_CHECKING:
    from sestina.integrations._empty import Vectors

allow_deserialization_module(__name__)


@component
class SestinaTextEmbedder(Kept):
    """Embeds the text of a query, with the prompt that the bundle has for queries.

    A pipeline that is kept has the place of the bundle and the space, and refuses another space when it is
    loaded and run again. Its input is `text`, its outputs are `embedding` and `meta` (model and space).

    Args:
        encoder: The path of a bundle, an `Encoder`, or None for the encoder in the box.
        space: The space of the vectors that a store has already; None: not checked.
        dimensions: Keep only the first so many; None: all.
    """

    def __init__(
        self, encoder: EncoderArgument = None, *, space: str | None = None, dimensions: int | None = None
    ) -> None:
        self._source: Source = Source(encoder, space=space, dimensions=dimensions)
        self._waiting = Waiting(self._source)

    @component.output_types(embedding=list[float], meta=dict[str, Any])
    def run(self, text: str) -> dict[str, Any]:
        """The vector of a text.

        Raises:
            TextTypeError, TextValueError: Where it is no text, or is empty.
        """
        return self._answer(self._source.encode(checked_texts([text], "text"), "query"))

    @component.output_types(embedding=list[float], meta=dict[str, Any])
    async def run_async(self, text: str) -> dict[str, Any]:
        """`run`, awaited; texts that wait together are encoded together."""
        return self._answer(await self._waiting.encode(checked_texts([text], "text"), "query"))

    def to_dict(self) -> dict[str, Any]:
        """What a pipeline keeps of it."""
        kept: dict[str, Any] = default_to_dict(self, **_kept(self._source))
        return kept

    def _answer(self, vectors: Vectors) -> dict[str, Any]:
        return {"embedding": vectors[0].tolist(), "meta": _meta(self._source)}


@component
class SestinaDocumentEmbedder(Kept):
    """Embeds documents, with the prompt that the bundle has for documents.

    Its input is `documents`; its outputs are `documents`, which are copies with an embedding, and `meta`
    (model and space).

    Args:
        encoder: The path of a bundle, an `Encoder`, or None for the encoder in the box.
        space: The space of the vectors that a store has already; None: not checked.
        dimensions: Keep only the first so many; None: all.
        meta_fields_to_embed: Names of metadata that stand before the content.
        embedding_separator: Between these and the content.
        on_empty: What to do about a document without a text: "error", or "warn": it gets no embedding.
    """

    def __init__(
        self,
        encoder: EncoderArgument = None,
        *,
        space: str | None = None,
        dimensions: int | None = None,
        meta_fields_to_embed: list[str] | None = None,
        embedding_separator: str = "\n",
        on_empty: Literal["error", "warn"] = "error",
    ) -> None:
        one_of("on_empty", on_empty, ("error", "warn"))
        self._source: Source = Source(encoder, space=space, dimensions=dimensions)
        self._waiting = Waiting(self._source)
        self.meta_fields_to_embed = meta_fields_to_embed or []
        self.embedding_separator = embedding_separator
        self.on_empty = on_empty

    @component.output_types(documents=list[Document], meta=dict[str, Any])
    def run(self, documents: list[Document]) -> dict[str, Any]:
        """The documents, each with its vector.

        Raises:
            TextTypeError: Where something is no document.
            TextValueError: Where one is empty and `on_empty` is "error".
        """
        texts = self._texts(documents)
        return self._answer(documents, texts, self._source.encode(texts, "document", empty="zero"))

    @component.output_types(documents=list[Document], meta=dict[str, Any])
    async def run_async(self, documents: list[Document]) -> dict[str, Any]:
        """`run`, awaited."""
        texts = self._texts(documents)
        return self._answer(documents, texts, await self._waiting.encode(texts, "document", empty="zero"))

    def to_dict(self) -> dict[str, Any]:
        """What a pipeline keeps of it."""
        kept: dict[str, Any] = default_to_dict(
            self,
            **_kept(self._source),
            meta_fields_to_embed=self.meta_fields_to_embed,
            embedding_separator=self.embedding_separator,
            on_empty=self.on_empty,
        )
        return kept

    def _texts(self, documents: list[Document]) -> list[str]:
        return texts_of(documents, self.meta_fields_to_embed, self.embedding_separator)

    def _answer(self, documents: list[Document], texts: list[str], vectors: Vectors) -> dict[str, Any]:
        if self.on_empty == "error":
            refuse_empty(vectors, texts, "document")
        empty = empty_rows(vectors, texts)
        warn_empty(empty, len(documents), "documents", "get no embedding")
        done = [
            replace(each, embedding=None if at in empty else vectors[at].tolist())
            for at, each in enumerate(documents)
        ]
        return {"documents": done, "meta": _meta(self._source)}


@component
class SestinaRanker(Kept):
    """Documents that were found, by how well they answer the query: the second stage of a search.

    Its inputs are `query`, `documents` and `top_k`; its output is `documents`, copies with their scores, the
    best first. Of documents of one id, as several retrievers find them, the one with the higher score is
    taken. A pipeline that is kept has the place of the bundle and the space, and refuses another space.

    Args:
        reranker: The path of a bundle of the task rerank, or a `Reranker`.
        space: The space of the bundle that it must be; None: not checked.
        top_k: How many documents are given on; None: all.
        meta_fields_to_embed: Names of metadata that stand before the content.
        embedding_separator: Between these and the content.
    """

    def __init__(
        self,
        reranker: RerankerArgument,
        *,
        space: str | None = None,
        top_k: int | None = 10,
        meta_fields_to_embed: list[str] | None = None,
        embedding_separator: str = "\n",
    ) -> None:
        self._source: RerankerSource = RerankerSource(reranker, space=space)
        self.top_k = count_or_all("top_k", top_k)
        self.meta_fields_to_embed = meta_fields_to_embed or []
        self.embedding_separator = embedding_separator

    @component.output_types(documents=list[Document])
    def run(self, query: str, documents: list[Document], top_k: int | None = None) -> dict[str, Any]:
        """The best documents, the best first; `top_k` of this run, or None for the component's.

        Raises:
            TextTypeError, TextValueError: Where something is no document, or the query no text or empty.
            OptionError: Where `top_k` is not allowed.
        """
        most = count_or_all("top_k", top_k) or self.top_k
        given = each_once(documents)
        texts = texts_of(given, self.meta_fields_to_embed, self.embedding_separator)
        ranked = self._source.rank(query, texts, most)
        return {"documents": [replace(given[each.position], score=each.score) for each in ranked]}

    @component.output_types(documents=list[Document])
    async def run_async(
        self, query: str, documents: list[Document], top_k: int | None = None
    ) -> dict[str, Any]:
        """`run`, in a thread: others of the event loop go on meanwhile."""
        done: dict[str, Any] = await asyncio.to_thread(self.run, query, documents, top_k)
        return done

    def to_dict(self) -> dict[str, Any]:
        """What a pipeline keeps of it."""
        kept: dict[str, Any] = default_to_dict(
            self,
            reranker=self._source.path,
            space=self._source.space,
            top_k=self.top_k,
            meta_fields_to_embed=self.meta_fields_to_embed,
            embedding_separator=self.embedding_separator,
        )
        return kept


def _meta(source: Source) -> dict[str, Any]:
    return {"model": source.name, "space": source.space}


def _kept(source: Source) -> dict[str, Any]:
    return {"encoder": source.path, "space": source.space, "dimensions": source.dimensions_asked}

"""LangChain: the embeddings of a vector store, a retriever or a cache, and a reranker of what was found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sestina.integrations._encoder import EncoderArgument, Source, checked_texts
from sestina.integrations._host import Host
from sestina.integrations._reranker import RerankerArgument, RerankerSource, count_or_all
from sestina.integrations._waiting import Waiting

with Host("langchain-core"):
    from langchain_core.documents import BaseDocumentCompressor, Document
    from langchain_core.embeddings import Embeddings


class SestinaEmbeddings(Embeddings):
    """Embeddings of a bundle. Queries and documents get the prompts that the bundle has for them.

    It can be pickled and copied. Coroutines that wait together are encoded together.

    Args:
        encoder: The path of a bundle, an `Encoder`, or None for the encoder in the box.
        space: The space of the vectors that a store has already; None: not checked.
        dimensions: Keep only the first so many; None: all.

    Raises:
        BundleIntegrityError: Where the bundle is of another space.
        OptionError: Where `dimensions` is not allowed.
        SestinaError: As `sestina.load`.
    """

    def __init__(
        self, encoder: EncoderArgument = None, *, space: str | None = None, dimensions: int | None = None
    ) -> None:
        self._source = Source(encoder, space=space, dimensions=dimensions)
        self._waiting = Waiting(self._source)
        _ = self._source.encoder  # what is wrong with it is said now

    @property
    def encoder(self) -> Any:
        """The `Encoder`."""
        return self._source.encoder

    @property
    def space(self) -> str:
        """Fingerprint of the embedding space: the namespace of a `CacheBackedEmbeddings`."""
        return self._source.space

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """A vector for each document.

        Raises:
            TextTypeError, TextValueError: Where one is no text, or is empty; the message says which.
        """
        listed = checked_texts(texts, "document")
        vectors: list[list[float]] = self._source.encode(listed, "document").tolist()
        return vectors

    def embed_query(self, text: str) -> list[float]:
        """The vector of a query.

        Raises:
            TextTypeError, TextValueError: Where it is no text, or is empty.
        """
        vector: list[float] = self._source.encode(checked_texts([text], "query"), "query")[0].tolist()
        return vector

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        """`embed_documents`, awaited."""
        listed = checked_texts(texts, "document")
        vectors: list[list[float]] = (await self._waiting.encode(listed, "document")).tolist()
        return vectors

    async def aembed_query(self, text: str) -> list[float]:
        """`embed_query`, awaited."""
        vectors = await self._waiting.encode(checked_texts([text], "query"), "query")
        vector: list[float] = vectors[0].tolist()
        return vector


class SestinaReranker(BaseDocumentCompressor):
    """Documents that were found, by how well they answer the query: the second stage of a search.

    A document that is kept is a copy, whose metadata has the score as "relevance_score". It can be pickled
    and copied.

    Args:
        reranker: The path of a bundle of the task rerank, or a `Reranker`.
        space: The space of the bundle that it must be; None: not checked.
        top_n: How many documents are kept; None: all.

    Raises:
        BundleIntegrityError: Where the bundle is of another space.
        OptionError: Where it is of another task, or an argument is not allowed.
        SestinaError: As `sestina.load_reranker`.
    """

    reranker: str
    space: str
    top_n: int | None
    _source: RerankerSource

    def __init__(
        self, reranker: RerankerArgument, *, space: str | None = None, top_n: int | None = 3
    ) -> None:
        source, kept = RerankerSource(reranker, space=space), count_or_all("top_n", top_n)
        found = source.loaded.space  # what is wrong with it is said now
        super().__init__(reranker=source.path, space=found, top_n=kept)
        self._source = source

    def compress_documents(
        self,
        documents: Sequence[Document],
        query: str,
        callbacks: Any = None,  # noqa: ARG002
    ) -> list[Document]:
        """The best documents, the best first.

        Raises:
            TextTypeError, TextValueError: Where the query is no text, or is empty.
        """
        given = list(documents)
        ranked = self._source.rank(query, [each.page_content for each in given], self.top_n)
        return [_scored(given[each.position], each.score) for each in ranked]


def _scored(document: Document, score: float) -> Document:
    scored: Document = document.model_copy(
        update={"metadata": {**document.metadata, "relevance_score": score}}
    )
    return scored

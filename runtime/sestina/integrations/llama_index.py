"""LlamaIndex: the embedding model of an index, and a reranker of what was found."""

from __future__ import annotations

from typing import Any

import sestina
from sestina.integrations._encoder import EncoderArgument, Source, checked_texts
from sestina.integrations._host import Host
from sestina.integrations._reranker import RerankerArgument, RerankerSource, count_or_all
from sestina.integrations._waiting import Waiting

with Host("llama-index-core"):
    from llama_index.core.base.embeddings.base import BaseEmbedding
    from llama_index.core.bridge.pydantic import Field, PrivateAttr
    from llama_index.core.embeddings.loading import RECOGNIZED_EMBEDDINGS
    from llama_index.core.instrumentation import get_dispatcher
    from llama_index.core.instrumentation.events.rerank import ReRankEndEvent, ReRankStartEvent
    from llama_index.core.postprocessor.types import BaseNodePostprocessor
    from llama_index.core.schema import MetadataMode, NodeWithScore, QueryBundle

_events = get_dispatcher(__name__)


class SestinaEmbedding(BaseEmbedding):
    """Embeddings of a bundle. Queries and texts get the prompts that the bundle has for them.

    `to_dict` keeps the place of the bundle and the space; `from_dict` refuses another space.

    Args:
        encoder: The path of a bundle, an `Encoder`, or None for the encoder in the box.
        space: The space of the vectors that an index has already; None: not checked.
        dimensions: Keep only the first so many; None: all.
        embed_batch_size: Texts that LlamaIndex hands over at once. They are cut by length, within a ceiling
            of memory, whatever it is.

    Raises:
        BundleIntegrityError: Where the bundle is of another space.
        OptionError: Where `dimensions` is not allowed.
        SestinaError: As `sestina.load`.
    """

    encoder: str | None = Field(default=None, description="The path of a bundle; None: the one in the box.")
    space: str | None = Field(default=None, description="Fingerprint of the embedding space.")
    dimensions: int | None = Field(default=None, description="How many dimensions are kept; None: all.")
    _source: Source = PrivateAttr()
    _waiting: Waiting = PrivateAttr()

    def __init__(
        self,
        encoder: EncoderArgument = None,
        *,
        space: str | None = None,
        dimensions: int | None = None,
        embed_batch_size: int = 256,
        **options: Any,
    ) -> None:
        source = Source(encoder, space=space, dimensions=dimensions)
        found = source.encoder.space
        options.setdefault("model_name", source.name)
        super().__init__(
            encoder=source.path,
            space=found,
            dimensions=dimensions,
            embed_batch_size=embed_batch_size,
            **options,
        )
        self._source, self._waiting = source, Waiting(source)

    @classmethod
    def class_name(cls) -> str:
        """What LlamaIndex calls it where it is kept."""
        return "SestinaEmbedding"

    def _get_query_embedding(self, query: str) -> list[float]:
        vector: list[float] = self._source.encode(checked_texts([query], "query"), "query")[0].tolist()
        return vector

    def _get_text_embedding(self, text: str) -> list[float]:
        return self._get_text_embeddings([text])[0]

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        listed = checked_texts(texts, "document")
        vectors: list[list[float]] = self._source.encode(listed, "document").tolist()
        return vectors

    async def _aget_query_embedding(self, query: str) -> list[float]:
        vectors = await self._waiting.encode(checked_texts([query], "query"), "query")
        vector: list[float] = vectors[0].tolist()
        return vector

    async def _aget_text_embedding(self, text: str) -> list[float]:
        return (await self._aget_text_embeddings([text]))[0]

    async def _aget_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        listed = checked_texts(texts, "document")
        vectors: list[list[float]] = (await self._waiting.encode(listed, "document")).tolist()
        return vectors

    # LlamaIndex's own would take a bundle of another space for an attribute that cannot be pickled.
    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (type(self), self._source, self._options())

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> SestinaEmbedding:
        return _again(type(self), self._source, self._options())

    def _options(self) -> dict[str, Any]:
        kept = ("model_name", "embed_batch_size", "num_workers", "embeddings_cache")
        return {name: getattr(self, name) for name in kept}


def _again(kind: type[SestinaEmbedding], source: Source, options: dict[str, Any]) -> SestinaEmbedding:
    encoder = source.encoder if source.given else source.path
    return kind(encoder, space=source.space, dimensions=source.dimensions_asked, **options)


RECOGNIZED_EMBEDDINGS[SestinaEmbedding.class_name()] = SestinaEmbedding  # for `load_embed_model`


class SestinaRerank(BaseNodePostprocessor):
    """Nodes that were found, by how well they answer the query: the second stage of a search.

    A node is read with its metadata, as LlamaIndex has it for embeddings. `to_dict` keeps the place of the
    bundle and the space; `from_dict` refuses another space.

    Args:
        reranker: The path of a bundle of the task rerank, or a `Reranker`.
        space: The space of the bundle that it must be; None: not checked.
        top_n: How many nodes are kept; None: all.

    Raises:
        BundleIntegrityError: Where the bundle is of another space.
        OptionError: Where it is of another task, or an argument is not allowed.
        SestinaError: As `sestina.load_reranker`.
    """

    reranker: str = Field(description="The path of a bundle of the task rerank.")
    space: str = Field(description="Fingerprint of what it computes.")
    top_n: int | None = Field(description="How many nodes are kept; None: all.")
    _source: RerankerSource = PrivateAttr()

    def __init__(
        self,
        reranker: RerankerArgument,
        *,
        space: str | None = None,
        top_n: int | None = 2,
        **options: Any,
    ) -> None:
        source, kept = RerankerSource(reranker, space=space), count_or_all("top_n", top_n)
        found = source.loaded.space
        super().__init__(reranker=source.path, space=found, top_n=kept, **options)
        self._source = source

    @classmethod
    def class_name(cls) -> str:
        """What LlamaIndex calls it where it is kept."""
        return "SestinaRerank"

    def _postprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        if query_bundle is None:
            raise sestina.TextValueError("there is no query: pass query_bundle or query_str")
        model, most = self._source.name, self.top_n or len(nodes)
        _events.event(ReRankStartEvent(query=query_bundle, nodes=nodes, top_n=most, model_name=model))
        texts = [each.node.get_content(metadata_mode=MetadataMode.EMBED) for each in nodes]
        ranked = self._source.rank(query_bundle.query_str, texts, self.top_n)
        best = [NodeWithScore(node=nodes[each.position].node, score=each.score) for each in ranked]
        _events.event(ReRankEndEvent(nodes=best))
        return best

    # As those of the embedding, and for the same reason.
    def __reduce__(self) -> tuple[Any, ...]:
        return _reranker_again, (type(self), self._source, self.top_n)

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> SestinaRerank:
        return _reranker_again(type(self), self._source, self.top_n)


def _reranker_again(kind: type[SestinaRerank], source: RerankerSource, top_n: int | None) -> SestinaRerank:
    reranker: Any = source.loaded if source.given else source.path
    return kind(reranker, space=source.space, top_n=top_n)

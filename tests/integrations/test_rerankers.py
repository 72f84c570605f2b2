"""Rerankers where the hosts have them: LangChain's compressor, Haystack's ranker, LlamaIndex's postprocessor."""

from __future__ import annotations

import asyncio
import copy
import pickle
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from haystack import Document as HaystackDocument
from haystack import Pipeline
from langchain_core.documents import BaseDocumentCompressor, Document
from langchain_core.runnables import RunnableLambda
from langchain_core.vectorstores import InMemoryVectorStore
from llama_index.core import Document as LlamaDocument
from llama_index.core import VectorStoreIndex, get_response_synthesizer
from llama_index.core.instrumentation import get_dispatcher
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.llms import MockLLM
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.schema import NodeWithScore, TextNode

import sestina
from sestina.integrations.haystack import SestinaRanker
from sestina.integrations.langchain import SestinaEmbeddings, SestinaReranker
from sestina.integrations.llama_index import SestinaEmbedding, SestinaRerank

CLASSES = (SestinaReranker, SestinaRanker, SestinaRerank)
EXTRA = ["the model embeds the text", "tokens", "numbers like 1, 23 and 456"]


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny reranker, of random weights: its order is another than that of its input, and always the same."""
    from _heads import head_checkpoint
    from sestina_export import export

    return export(
        head_checkpoint("rerank", limit=160), tmp_path_factory.mktemp("rerank") / "made.sestina"
    ).path


@pytest.fixture
def own(made: Path, tmp_path: Path) -> Path:
    return shutil.copytree(made, tmp_path / "own.sestina")


@pytest.fixture(scope="module")
def texts(documents: list[str]) -> list[str]:
    return [*documents, *EXTRA]


@pytest.fixture(scope="module")
def wanted(made: Path, texts: list[str], query: str) -> list[sestina.Ranked]:
    with sestina.load_reranker(made) as reranker:
        ranked = reranker.rank(query, texts)
    assert [each.position for each in ranked] != list(range(len(texts)))  # else nothing would be told below
    return ranked


def ask(kind: Any, reranker: Any, query: Any, texts: list[str], most: int | None) -> list[tuple[str, float]]:
    """What each host gets: texts and scores, the best first."""
    host = getattr(kind, "func", kind)
    if host is SestinaReranker:
        given = [Document(page_content=text) for text in texts]
        found = kind(reranker, top_n=most).compress_documents(given, query)
        return [(each.page_content, each.metadata["relevance_score"]) for each in found]
    if host is SestinaRanker:
        documents = [HaystackDocument(content=text) for text in texts]
        found = kind(reranker, top_k=most).run(query=query, documents=documents)["documents"]
        return [(each.content, each.score) for each in found]
    nodes = [NodeWithScore(node=TextNode(text=text)) for text in texts]
    found = kind(reranker, top_n=most).postprocess_nodes(nodes, query_str=query)
    return [(each.node.get_content(), each.score) for each in found]


@pytest.mark.parametrize("kind", CLASSES)
def test_the_order_and_the_scores_are_the_rerankers(
    kind: Any, made: Path, texts: list[str], query: str, wanted: list[sestina.Ranked]
) -> None:
    pairs = [(each.text, each.score) for each in wanted]
    assert ask(kind, made, query, texts, None) == pairs
    assert ask(kind, str(made), query, texts, 2) == pairs[:2]
    assert all(type(score) is float for _, score in ask(kind, made, query, texts, 99))
    with sestina.load_reranker(made) as reranker:
        assert ask(kind, reranker, query, texts, None) == pairs
    assert ask(kind, made, query, [], 3) == []


@pytest.mark.parametrize("kind", CLASSES)
def test_what_is_not_allowed(
    kind: Any, made: Path, own: Path, becomes_another: Callable[[Path], str]
) -> None:
    name = "top_k" if kind is SestinaRanker else "top_n"
    for wrong in (0, -1, 2.0, "2", True):
        with pytest.raises(sestina.OptionError, match=f"^{name} is {wrong!r}; it must be a whole number"):
            kind(made, **{name: wrong})
    for wrong, said in ((None, "None"), (3, "int"), (sestina.load(), "Encoder")):
        with pytest.raises(
            sestina.OptionError, match=f"^reranker is {said}; it must be the path of a bundle"
        ):
            kind(wrong)
    with pytest.raises(sestina.OptionError, match="is a bundle of the task embedding.*use sestina.load"):
        ask(kind, Path(sestina.__file__).parent / "default.sestina", "a", ["b"], 1)
    with pytest.raises(sestina.BundleNotFoundError):
        ask(kind, "nowhere.sestina", "a", ["b"], 1)
    for empty in ("", "  "):
        with pytest.raises(sestina.TextValueError, match="the query is empty"):
            ask(kind, made, empty, ["b"], 1)
    space, another = sestina.load_reranker(own).space, becomes_another(own)
    with pytest.raises(sestina.BundleIntegrityError, match=f"{another}.*{space}: bring the same bundle"):
        ask(partial(kind, space=space), own, "a", ["b"], 1)


def test_a_reranker_of_several_labels_has_no_order(tmp_path: Path) -> None:
    from _heads import head_checkpoint
    from sestina_export import export

    checkpoint = head_checkpoint("rerank", labels=3, activation="identity")
    several = export(checkpoint, tmp_path / "several.sestina", precisions=["fp32"]).path
    for kind in CLASSES:
        with pytest.raises(sestina.OptionError, match="gives 3 numbers a pair .*use a reranker of one label"):
            ask(kind, several, "a", ["b"], 1)


def test_langchain(made: Path, texts: list[str], query: str, wanted: list[sestina.Ranked]) -> None:
    store = InMemoryVectorStore(SestinaEmbeddings())
    store.add_texts(texts, metadatas=[{"at": at} for at in range(len(texts))])
    reranker = SestinaReranker(made, top_n=2)
    assert isinstance(reranker, BaseDocumentCompressor)
    found = store.as_retriever(search_kwargs={"k": len(texts)})
    chain = found | RunnableLambda(lambda documents: reranker.compress_documents(documents, query))
    best = chain.invoke(query)
    assert [each.metadata["at"] for each in best] == [each.position for each in wanted[:2]]
    given = [Document(page_content=text, metadata={"at": 1}, id="7") for text in texts]
    awaited = asyncio.run(reranker.acompress_documents(given, query))
    assert [each.page_content for each in awaited] == [each.text for each in wanted[:2]]
    assert awaited[0].id == "7"
    assert given[0].metadata == {"at": 1}  # the caller's is left as it was


def test_langchain_is_pickled_and_copied_by_place_and_space(
    own: Path, query: str, becomes_another: Callable[[Path], str]
) -> None:
    reranker = SestinaReranker(own, top_n=2)
    given = [Document(page_content=text) for text in EXTRA]
    best = reranker.compress_documents(given, query)
    kept = pickle.dumps(reranker)
    for again in (copy.deepcopy(reranker), copy.copy(reranker), pickle.loads(kept)):
        assert again.compress_documents(given, query) == best
    space, another = reranker.space, becomes_another(own)
    with pytest.raises(sestina.BundleIntegrityError, match=f"{another}.*{space}"):
        pickle.loads(kept).compress_documents(given, query)


def test_haystack(made: Path, query: str) -> None:
    pipeline = Pipeline()
    pipeline.add_component("ranker", SestinaRanker(made, top_k=2, meta_fields_to_embed=["title"]))
    again = Pipeline.loads(pipeline.dumps())
    given = [HaystackDocument(content=text, meta={"title": f"title {at}"}) for at, text in enumerate(EXTRA)]
    with sestina.load_reranker(made) as reranker:
        wanted = reranker.rank(query, [f"title {at}\n{text}" for at, text in enumerate(EXTRA)])
    for each in (pipeline, again):
        done = each.run({"ranker": {"query": query, "documents": given}})["ranker"]["documents"]
        assert [document.content for document in done] == [EXTRA[rank.position] for rank in wanted[:2]]
        assert [document.score for document in done] == [rank.score for rank in wanted[:2]]
    ranker = again.get_component("ranker")
    assert (ranker.top_k, ranker.meta_fields_to_embed, ranker.embedding_separator) == (2, ["title"], "\n")
    assert len(ranker.run(query=query, documents=given, top_k=3)["documents"]) == 3
    assert len(asyncio.run(ranker.run_async(query=query, documents=given, top_k=1))["documents"]) == 1
    assert given[0].score is None
    with pytest.raises(sestina.OptionError, match="top_k is 0"):
        ranker.run(query=query, documents=given, top_k=0)
    with pytest.raises(sestina.TextTypeError, match="document 1 is str; it must be a Document of Haystack"):
        ranker.run(query=query, documents=[given[0], "a"])


def test_haystack_has_each_document_once(made: Path, query: str) -> None:
    found = [
        HaystackDocument(id="a", content="one", score=0.2, meta={"by": "words"}),
        HaystackDocument(id="b", content="two", score=None),
        HaystackDocument(id="a", content="one", score=0.9, meta={"by": "vectors"}),
        HaystackDocument(id="b", content="two", score=0.1, meta={"by": "words"}),
        HaystackDocument(id="a", content="one", score=None),
    ]
    done = SestinaRanker(made).run(query=query, documents=found)["documents"]
    assert {each.id: each.meta for each in done} == {"a": {"by": "vectors"}, "b": {"by": "words"}}
    assert len(done) == 2


def test_a_pipeline_that_is_kept_refuses_another_space(
    own: Path, becomes_another: Callable[[Path], str]
) -> None:
    pipeline = Pipeline()
    pipeline.add_component("ranker", SestinaRanker(own))
    kept, space = pipeline.dumps(), sestina.load_reranker(own).space
    assert space in kept
    another = becomes_another(own)
    again = Pipeline.loads(kept)
    with pytest.raises(sestina.BundleIntegrityError, match=f"{another}.*{space}"):
        again.get_component("ranker").run(query="a", documents=[HaystackDocument(content="b")])


def test_llama_index(made: Path, texts: list[str], query: str, wanted: list[sestina.Ranked]) -> None:
    seen: list[str] = []

    class Handler(BaseEventHandler):
        @classmethod
        def class_name(cls) -> str:
            return "Handler"

        def handle(self, event: Any, **_: Any) -> None:
            seen.append(event.class_name())

    rerank = SestinaRerank(made, top_n=2)
    assert isinstance(rerank, BaseNodePostprocessor)
    get_dispatcher().add_event_handler(Handler())
    try:
        index = VectorStoreIndex.from_documents(
            [LlamaDocument(text=text) for text in texts], embed_model=SestinaEmbedding()
        )
        engine = RetrieverQueryEngine.from_args(
            index.as_retriever(similarity_top_k=len(texts)),
            llm=MockLLM(),
            response_synthesizer=get_response_synthesizer(llm=MockLLM()),
            node_postprocessors=[rerank],
        )
        best = engine.query(query).source_nodes
    finally:
        get_dispatcher().event_handlers.clear()
    assert [each.node.get_content() for each in best] == [each.text for each in wanted[:2]]
    assert {"ReRankStartEvent", "ReRankEndEvent"} <= set(seen)
    nodes = [NodeWithScore(node=TextNode(text=text), score=0.5) for text in texts]
    awaited = asyncio.run(rerank.apostprocess_nodes(nodes, query_str=query))
    assert [each.score for each in awaited] == [each.score for each in wanted[:2]]
    assert {each.score for each in nodes} == {0.5}  # the caller's are left as they were
    with pytest.raises(sestina.TextValueError, match="there is no query"):
        rerank.postprocess_nodes(nodes)


def test_llama_index_reads_metadata(made: Path, query: str) -> None:
    node = TextNode(
        text="body", metadata={"title": "head", "hidden": "x"}, excluded_embed_metadata_keys=["hidden"]
    )
    with sestina.load_reranker(made) as reranker:
        score = reranker.rank(query, ["title: head\n\nbody"])[0].score
    assert (
        SestinaRerank(made).postprocess_nodes([NodeWithScore(node=node)], query_str=query)[0].score == score
    )


def test_llama_index_is_kept_by_place_and_space(
    own: Path, query: str, becomes_another: Callable[[Path], str]
) -> None:
    rerank = SestinaRerank(own, top_n=1)
    nodes = [NodeWithScore(node=TextNode(text=text)) for text in EXTRA]
    best = rerank.postprocess_nodes(nodes, query_str=query)[0].score
    kept, pickled = rerank.to_dict(), pickle.dumps(rerank)
    assert (kept["reranker"], kept["space"], kept["top_n"]) == (str(own), rerank.space, 1)
    for again in (
        SestinaRerank.from_dict(kept),
        SestinaRerank.from_json(rerank.to_json()),
        pickle.loads(pickled),
        copy.deepcopy(rerank),
    ):
        found = again.postprocess_nodes(nodes, query_str=query)
        assert [each.score for each in found] == [best]
    space, another = rerank.space, becomes_another(own)
    for opened in (lambda: SestinaRerank.from_dict(kept), lambda: pickle.loads(pickled)):
        with pytest.raises(sestina.BundleIntegrityError, match=f"{another}.*{space}"):
            opened()

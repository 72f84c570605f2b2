"""CUDA on a GPU: what stands on an encoder, in float16 and in float32, near the CPU's float32, whatever the batch.

That the CPU's float32 is PyTorch's, other tests hold. When this skips, fails or rehearses: see `test_cuda`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import sestina
from _cuda import HEADS, made_head, ready, tell

FLOAT16, FLOAT32, FAR = 2e-2, 2e-5, 0.05
DOCUMENTS = ["attention is all you need", "the", "a model of attention, with more words than the others have"]
QUERY = "what is attention"
Array = np.ndarray[Any, Any]


@pytest.fixture(scope="module", autouse=True)
def cuda() -> Iterator[None]:
    yield from ready(lambda: rerank(made_head("rerank"), provider="cuda"))


def rerank(path: Any, **options: Any) -> tuple[Array, sestina.Report]:
    with sestina.load_reranker(path, **options) as model:
        return model.score_pairs([(QUERY, each) for each in DOCUMENTS]), model.report()


def classify(path: Any, **options: Any) -> tuple[Array, sestina.Report]:
    with sestina.load_classifier(path, **options) as model:
        return model.probabilities(DOCUMENTS), model.report()


def tag(path: Any, **options: Any) -> tuple[Array, sestina.Report]:
    """What each character is tagged with, by its label's number and by the score."""
    with sestina.load_tagger(path, **options) as model:
        found = np.zeros((sum(map(len, DOCUMENTS)), 2))
        begin = 0
        for text, spans in zip(DOCUMENTS, model.tag(DOCUMENTS), strict=True):
            for span in spans:
                found[begin + span.start : begin + span.end] = model.labels.index(span.label), span.score
            begin += len(text)
        return found, model.report()


def sparse(path: Any, **options: Any) -> tuple[Array, sestina.Report]:
    with sestina.load_sparse_encoder(path, **options) as model:
        rows = model.encode(DOCUMENTS)
        dense = np.zeros((len(rows), model.dimensions), dtype=np.float32)
        for row, place in zip(rows, dense, strict=True):
            place[row.indices] = row.weights
        return dense, model.report()


def multi_vector(path: Any, **options: Any) -> tuple[Array, sestina.Report]:
    with sestina.load_multi_vector_encoder(path, **options) as model:
        return np.concatenate([model.encode_query(QUERY), *model.encode_document(DOCUMENTS)]), model.report()


READ: dict[str, Callable[..., tuple[Array, sestina.Report]]] = {
    "rerank": rerank, "classify": classify, "tag": tag, "sparse": sparse, "multi-vector": multi_vector,
}  # fmt: skip


@pytest.mark.parametrize("precision", ["fp16", "fp32"])
@pytest.mark.parametrize("task", HEADS)
def test_near_the_cpu(task: str, precision: str) -> None:
    path, read = made_head(task), READ[task]
    with warnings.catch_warnings():
        warnings.simplefilter("error", sestina.ProviderWarning)
        there, report = read(path, provider="cuda", precision=precision, strict=True)
    here, _ = read(path, provider="cpu", precision="fp32")
    assert report.provider == "cuda"
    assert report.variant is not None
    assert precision in report.variant
    difference = float(np.abs(there - here).max())
    tell(
        f"{task}: {report.variant} on {report.device}: difference {difference:.2g}, {report.share:.0%} there"
    )
    assert difference <= (FLOAT16 if precision == "fp16" else FLOAT32) * max(1.0, float(np.abs(here).max()))
    # The comparison can fail: other texts' results are further away.
    assert np.abs(np.roll(here, 1, axis=0) - here).max() > FAR


def test_goldens() -> None:
    for task, load in (("rerank", sestina.load_reranker), ("sparse", sestina.load_sparse_encoder)):
        with load(made_head(task), provider="cuda", strict=True) as model:
            assert model.verify().passed

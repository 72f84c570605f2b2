"""mteb's own evaluation, with our encoder, on a task of a few sentences made here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import datasets
import mteb
import numpy as np
import pytest
from mteb.abstasks.retrieval import AbsTaskRetrieval
from mteb.abstasks.sts import AbsTaskSTS
from mteb.abstasks.task_metadata import TaskMetadata
from mteb.models.model_meta import ScoringFunction
from mteb.models.models_protocols import EncoderProtocol

import sestina
from sestina.integrations.mteb import SestinaEncoder


def metadata(name: str, kind: str, score: str) -> TaskMetadata:
    return TaskMetadata(
        name=name, description="of a test", reference=None, type=kind, category="t2t", modalities=["text"],
        dataset={"path": "none/none", "revision": "0"}, eval_splits=["test"], eval_langs=["eng-Latn"],
        main_score=score, date=("2020-01-01", "2020-01-02"), domains=["Written"], task_subtypes=[],
        license="cc0-1.0", annotations_creators="derived", dialect=[], sample_creation="created", bibtex_citation="",
    )  # fmt: skip


class Pairs(AbsTaskSTS):
    metadata = metadata("Pairs", "STS", "cosine_spearman")
    min_score, max_score = 0, 5

    def load_data(self, *_: Any, **__: Any) -> None:
        rows = {
            "sentence1": ["a cat sleeps", "rates rise", "a cat sleeps", "the sun is hot"],
            "sentence2": ["a cat is sleeping", "the bank raised rates", "stocks fall", "interest rates"],
            "score": [5.0, 4.0, 0.0, 0.5],
        }
        self.dataset = datasets.DatasetDict({"test": datasets.Dataset.from_dict(rows)})
        self.data_loaded = True


class Asking(AbsTaskRetrieval):
    metadata = metadata("Asking", "Retrieval", "ndcg_at_10")

    def load_data(self, *_: Any, **__: Any) -> None:
        corpus = {"id": ["d0", "d1", "d2"], "text": ["a cat sleeps on the mat", "the bank raised rates", ""]}
        queries = {"id": ["q0", "q1"], "text": ["sleeping cat", "interest rates"]}
        split = {
            "corpus": datasets.Dataset.from_dict({**corpus, "title": [""] * 3}),
            "queries": datasets.Dataset.from_dict(queries),
            "relevant_docs": {"q0": {"d0": 1}, "q1": {"d1": 1}},
            "top_ranked": None,
        }
        self.dataset = {"default": {"test": split}}
        self.data_loaded = True


def score(model: SestinaEncoder, task: Any, folder: Path) -> float:
    result = mteb.evaluate(model, task, cache=mteb.ResultCache(folder), show_progress_bar=False)
    return float(result.task_results[0].get_score())


def test_it_is_what_mteb_asks_for(encoder: sestina.Encoder) -> None:
    model = SestinaEncoder()
    assert isinstance(model, EncoderProtocol)
    meta = model.mteb_model_meta
    assert (meta.name, meta.revision) == ("sestina/default", encoder.space)
    assert (meta.embed_dim, meta.max_tokens) == (encoder.dimensions, encoder.max_tokens)
    assert SestinaEncoder(name="me/mine", languages=["eng-Latn"]).mteb_model_meta.name == "me/mine"


def test_a_task_is_evaluated_and_kept(tmp_path: Path) -> None:
    assert score(SestinaEncoder(), Pairs(), tmp_path) > 0.7
    kept = [json.loads(path.read_text("utf-8")) for path in tmp_path.rglob("Pairs.json")]
    assert [each["task_name"] for each in kept] == ["Pairs"]


def test_retrieval_asks_for_the_prompts_of_each(tmp_path: Path, prompted: object) -> None:
    assert score(SestinaEncoder(), Asking(), tmp_path) == 1.0
    asked = prompted.asked  # type: ignore[attr-defined]
    assert ("query", ["sleeping cat", "interest rates"]) in [
        (kind, sorted(texts)[::-1]) for kind, texts in asked
    ]
    assert {kind for kind, _ in asked} == {"query", "document"}


def test_batches_and_similarity(encoder: sestina.Encoder) -> None:
    model = SestinaEncoder(encoder, dimensions=16)
    batches = [{"text": ["a", "b"]}, {"text": ["c"]}]
    vectors = model.encode(batches, batch_size=2)
    assert np.array_equal(vectors, encoder.encode(["a", "b", "c"], dimensions=16))
    assert np.allclose(model.similarity(vectors, vectors), encoder.similarity(vectors, vectors), atol=1e-6)
    assert np.allclose(model.similarity_pairwise(vectors, vectors), 1, atol=1e-6)
    with pytest.raises(sestina.OptionError, match="prompt_type is 'both'"):
        model.encode(batches, prompt_type="both")


@pytest.mark.parametrize("how, order", [("euclidean", 2), ("manhattan", 1)])
def test_distances_have_their_sign_turned(how: str, order: int, encoder: sestina.Encoder) -> None:
    model = SestinaEncoder(encoder, similarity_fn_name=ScoringFunction(how))
    a, b = encoder.encode(["a", "b"]), encoder.encode(["c", "d"])
    pairs = [[-np.linalg.norm(x - y, ord=order) for y in b] for x in a]
    assert np.allclose(model.similarity(a, b), pairs, atol=1e-5)
    assert np.allclose(model.similarity_pairwise(a, b), np.diag(pairs), atol=1e-5)


def test_another_space_is_refused(other: Path, encoder: sestina.Encoder) -> None:
    with pytest.raises(sestina.BundleIntegrityError, match=encoder.space):
        SestinaEncoder(other, encoder.space)

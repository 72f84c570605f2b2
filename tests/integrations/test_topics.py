"""KeyBERT's and BERTopic's own pipelines, with our backends."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from bertopic import BERTopic
from bertopic.dimensionality import BaseDimensionalityReduction
from keybert import KeyBERT
from sklearn.cluster import KMeans

import sestina
from sestina.integrations import bertopic, keybert

TEXTS = [f"{what} number {at}" for at in range(8) for what in ("the cat sleeps", "the bank raised rates")]


def test_keywords(documents: list[str], encoder: sestina.Encoder) -> None:
    model = KeyBERT(keybert.SestinaBackend())
    (best, score), *_ = model.extract_keywords(documents[1], top_n=1)
    assert best in documents[1]
    assert score == pytest.approx(float(encoder.similarity(best, documents[1])[0, 0]), abs=1e-3)
    assert len(model.extract_keywords(documents, top_n=2)) == len(documents)


def topics(backend: object) -> BERTopic:
    return BERTopic(
        embedding_model=backend,
        umap_model=BaseDimensionalityReduction(),
        hdbscan_model=KMeans(2, random_state=0, n_init=1),
    )


def test_topics(tmp_path: Path) -> None:
    model = topics(bertopic.SestinaBackend())
    found, _ = model.fit_transform(TEXTS)
    assert len(set(found[::2])) == len(set(found[1::2])) == 1
    assert found[0] != found[1]
    model.save(str(tmp_path / "model"), serialization="pickle")
    again = BERTopic.load(str(tmp_path / "model"))
    assert again.transform(["a cat"])[0][0] == found[0]


@pytest.mark.parametrize("module", [keybert, bertopic])
def test_a_backend(
    module: object, bundle: Path, encoder: sestina.Encoder, becomes_another: Callable[[Path], str]
) -> None:
    backend = module.SestinaBackend(bundle)  # type: ignore[attr-defined]
    words = np.array(["cat", "bank"], object)
    assert np.array_equal(backend.embed(words), encoder.encode(["cat", "bank"]))
    assert backend.embed("cat").shape == (1, encoder.dimensions)
    assert not backend.embed([""]).any()
    kept = pickle.dumps(backend)
    another = becomes_another(bundle)
    with pytest.raises(sestina.BundleIntegrityError, match=f"{another}.*{encoder.space}"):
        pickle.loads(kept).embed(words)

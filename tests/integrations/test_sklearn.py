"""scikit-learn's own pipelines, searches and clones, with our transformer."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

import sestina
from sestina.integrations.sklearn import SestinaTransformer

TEXTS = ["a cat", "rates rise", "a dog", "the bank", "kittens play", "stocks fall"]
LABELS = [0, 1, 0, 1, 0, 1]


def test_a_pipeline_learns_and_is_pickled(encoder: sestina.Encoder) -> None:
    pipeline = make_pipeline(SestinaTransformer(), LogisticRegression()).fit(TEXTS, LABELS)
    assert pipeline.predict(["a puppy", "interest rates"]).tolist() == [0, 1]
    again = pickle.loads(pickle.dumps(pipeline))
    assert np.array_equal(again.predict_proba(TEXTS), pipeline.predict_proba(TEXTS))
    assert pipeline[0].space_ == encoder.space


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_grid_is_searched(jobs: int, encoder: sestina.Encoder) -> None:
    pipeline = make_pipeline(SestinaTransformer(encoder), LogisticRegression())
    grid = {"sestinatransformer__dimensions": [2, None]}
    search = GridSearchCV(pipeline, grid, cv=2, n_jobs=jobs, error_score="raise").fit(TEXTS, LABELS)
    assert len(search.cv_results_["mean_test_score"]) == 2
    assert search.best_estimator_[0].space_ == encoder.space


def test_clones_have_the_arguments_and_nothing_learnt(bundle: Path) -> None:
    transformer = SestinaTransformer(bundle, dimensions=8, kind="query").fit(TEXTS)
    copied = clone(transformer)
    assert copied.get_params() == {"encoder": bundle, "dimensions": 8, "kind": "query"}
    assert not hasattr(copied, "space_")
    assert copied.set_params(dimensions=4).fit_transform(TEXTS).shape == (6, 4)


def test_columns_of_any_kind(encoder: sestina.Encoder) -> None:
    wanted = encoder.encode(TEXTS)
    frame = pd.DataFrame({"text": TEXTS, "stars": range(6)}, index=list("fedcba"))
    transformer = SestinaTransformer(encoder)
    for given in (TEXTS, np.array(TEXTS), np.array(TEXTS, object)[:, None], frame["text"], frame[["text"]]):
        assert np.array_equal(transformer.fit_transform(given), wanted)
    for column in ("text", ["text"]):
        both = ColumnTransformer([("text", transformer, column), ("rest", "passthrough", ["stars"])])
        assert both.fit_transform(frame).shape == (6, encoder.dimensions + 1)
        assert both.get_feature_names_out()[1] == "text__sestina1"


def test_names_of_features_and_frames_of_pandas() -> None:
    transformer = SestinaTransformer(dimensions=3).set_output(transform="pandas")
    frame = transformer.fit_transform(pd.Series(TEXTS, index=list("fedcba")))
    assert frame.columns.tolist() == ["sestina0", "sestina1", "sestina2"]
    assert frame.index.tolist() == list("fedcba")


def test_a_pickle_refuses_another_space(bundle: Path, becomes_another: Callable[[Path], str]) -> None:
    transformer = SestinaTransformer(bundle).fit(TEXTS)
    kept = pickle.dumps(transformer)
    assert np.array_equal(pickle.loads(kept).transform(TEXTS), transformer.transform(TEXTS))
    another = becomes_another(bundle)
    with pytest.raises(sestina.BundleIntegrityError, match=f"{another}.*{transformer.space_}"):
        pickle.loads(kept).transform(TEXTS)


def test_a_pickle_has_the_whole_path(bundle: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(bundle.parent)
    transformer = SestinaTransformer(bundle.name).fit(TEXTS)
    kept = pickle.dumps(transformer)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert np.array_equal(pickle.loads(kept).transform(TEXTS), transformer.transform(TEXTS))


def test_empty_texts_are_zeros_and_nulls_are_named(encoder: sestina.Encoder) -> None:
    transformer = SestinaTransformer(encoder)
    assert not transformer.fit_transform(["a", ""])[1].any()
    with pytest.raises(sestina.TextTypeError, match="1"):
        transformer.transform(pd.Series(["a", None]))
    with pytest.raises(sestina.TextTypeError):
        transformer.transform(pd.DataFrame({"a": TEXTS, "b": TEXTS}))
    with pytest.raises(sestina.OptionError, match="kind is 'both'"):
        SestinaTransformer(encoder, kind="both").fit(TEXTS)  # type: ignore[arg-type]
    with pytest.raises(sestina.OptionError, match="kind is array"):
        SestinaTransformer(encoder, kind=np.array(["document", "query"])).fit(TEXTS)  # type: ignore[arg-type]
    fitted = SestinaTransformer(encoder).fit(TEXTS).set_params(dimensions=np.array([1, 2]))
    with pytest.raises(sestina.OptionError, match="dimensions is array"):
        fitted.transform(TEXTS)
    with pytest.raises(sestina.TextTypeError, match="texts is str; it must be a sequence of str"):
        transformer.transform("a text")


def test_the_kind_chooses_the_prompt(prompted: object, encoder: sestina.Encoder) -> None:
    for kind in ("query", "document"):
        vectors = SestinaTransformer(encoder, kind=kind).fit_transform(["a"])  # type: ignore[arg-type]
        assert np.array_equal(vectors, encoder.encode([f"{kind}: a"]))

"""Classifiers against transformers' text-classification pipeline, from the folder to labels with probabilities."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sestina
from _heads import head_checkpoint, head_folder
from _tiny import TEXTS
from sestina_export import ExportError, LabelGate, QualityGate, export
from sestina_model import CheckpointError, UnsupportedCheckpointError
from sestina_model import checkpoint as checkpoints

transformers = pytest.importorskip("transformers")

TOLERANCE = 1e-5
NAMES = ("negative", "neutral", "positive")


def reference(folder: Path) -> Any:
    """All labels of all texts by the pipeline, each text alone: (n, labels) in the order of the labels."""
    pipeline = transformers.pipeline("text-classification", model=str(folder), device="cpu", top_k=None)
    labels = [pipeline.model.config.id2label[at] for at in range(pipeline.model.config.num_labels)]
    rows = [pipeline(text, truncation=True, max_length=40)[0] for text in TEXTS]
    found = [{each["label"]: each["score"] for each in row} for row in map(_listed, rows)]
    return np.array([[row[label] for label in labels] for row in found])


def _listed(row: Any) -> list[dict[str, Any]]:
    return row if isinstance(row, list) else [row]


@pytest.mark.parametrize(
    ("family", "settings", "activation"),
    [
        ("bert", {}, "softmax"),
        ("roberta", {"problem_type": "multi_label_classification"}, "sigmoid"),
        (
            "modernbert",
            {"problem_type": "single_label_classification", "classifier_pooling": "mean", "norm_eps": 0.01},
            "softmax",
        ),
        ("distilbert", {"problem_type": "regression"}, "identity"),
    ],
)
def test_probabilities_are_the_pipelines(
    family: str, settings: dict[str, Any], activation: str, tmp_path: Path
) -> None:
    names = {"id2label": dict(enumerate(NAMES)), "label2id": {name: at for at, name in enumerate(NAMES)}}
    folder = head_folder(family, tmp_path / "checkpoint", labels=3, **names, **settings)
    result = export(folder, tmp_path / "out.sestina", precisions=["fp32"])
    contract = result.manifest.contract
    assert (result.manifest.task, contract.labels, contract.activation) == ("classify", NAMES, activation)
    wanted = reference(folder)
    with sestina.load_classifier(result.path) as classifier:
        rows = classifier.probabilities(TEXTS, on_truncate="ignore")
        named = classifier.classify(TEXTS, on_truncate="ignore")
        lone = classifier.classify(TEXTS[3], top_k=1)
    scale = max(1.0, float(np.abs(wanted).max()))
    assert np.abs(rows - wanted).max() <= TOLERANCE * scale
    assert np.abs(rows[:, ::-1] - wanted).max() > 1e-2  # of the labels in another order
    assert [each.label for each in named[3]] == [NAMES[at] for at in np.argsort(-wanted[3])]
    assert lone == named[3][:1]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    checkpoint = head_checkpoint("classify", labels=4, activation="softmax")
    target = tmp_path_factory.mktemp("classify") / "tiny.sestina"
    return export(checkpoint, target, gate=LabelGate(agreement=0.8, probability_error=0.1)).path


def test_int8_is_held_to_labels(bundle: Path) -> None:
    with sestina.load_classifier(bundle, precision="int8") as classifier:
        assert classifier.verify().passed
        together = classifier.probabilities(TEXTS, on_truncate="ignore")
        alone = [classifier.probabilities(text, on_truncate="ignore") for text in TEXTS]
        assert together.tolist() == [row.tolist() for row in alone]
        assert np.allclose(together.sum(1), 1)
        assert repr(classifier) == "<sestina.Classifier tiny-classify: 4 labels, 40 tokens, int8 on cpu>"
    (int8,) = [each for each in _manifest(bundle)["variants"] if each["precision"] == "int8"]
    assert int8["parity"]["labels"]["gate"] == {"agreement": 0.8, "probability_error": 0.1}


def _manifest(bundle: Path) -> Any:
    return json.loads((bundle / "manifest.json").read_text("utf-8"))


def test_bad_input(bundle: Path) -> None:
    with sestina.load_classifier(bundle) as classifier:
        assert classifier.classify([]) == []
        with pytest.raises(sestina.TextTypeError, match="text 1 is int; it must be str"):
            classifier.classify(["a", 5])  # type: ignore[list-item]
        with pytest.raises(sestina.TextTypeError, match="^row 1 is null; it must be str: leave it out$"):
            classifier.classify(["a", None])  # type: ignore[list-item]
        with pytest.raises(sestina.OptionError, match="top_k is 0; it must be a whole number from 1"):
            classifier.classify("a", top_k=0)
        with pytest.warns(sestina.TruncationWarning, match="the text has more than 40 tokens"):
            classifier.classify("model " * 60)
    with pytest.raises(sestina.OptionError, match=r"use sestina\.load_classifier$"):
        sestina.load(bundle)


def test_labels_that_are_missing(tmp_path: Path, bundle: Path) -> None:
    folder = head_folder("bert", tmp_path / "checkpoint", labels=3)
    config = json.loads((folder / "config.json").read_text("utf-8"))
    for labels, said in (
        ({"0": "a", "2": "b"}, "labels are missing: it must map each number from 0 on to its label"),
        ({"0": "a", "1": "a", "2": "b"}, "two numbers have one label"),
        ({"0": "a", "1": "b"}, r"misshapen: classifier.bias \[3\] instead of \[2\]"),
    ):
        (folder / "config.json").write_text(json.dumps(config | {"id2label": labels}), "utf-8")
        with pytest.raises(CheckpointError, match=said):
            checkpoints.load(folder, task="classify")
    bundle = Path(shutil.copytree(bundle, tmp_path / "copied.sestina"))
    manifest = _manifest(bundle)
    manifest["contract"]["labels"] = manifest["contract"]["labels"][:3]
    (bundle / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    with pytest.raises(sestina.BundleFormatError, match="labels are missing; there must be 4, each another"):
        sestina.load_classifier(bundle)


def test_heads_that_are_not_there(tmp_path: Path) -> None:
    folder = head_folder("bert", tmp_path / "bert", labels=2)
    config = json.loads((folder / "config.json").read_text("utf-8"))
    with pytest.raises(UnsupportedCheckpointError, match="model_type 'qwen3' has no head of sequence class"):
        _with_config(folder, tmp_path / "qwen3", {**config, "model_type": "qwen3"}, config)
    bare = transformers.BertModel.from_pretrained(folder, add_pooling_layer=False)
    bare.save_pretrained(tmp_path / "bare")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / "bare" / name).write_bytes((folder / name).read_bytes())
    with pytest.raises(CheckpointError, match="do not fit the configuration; missing: classifier.bias"):
        checkpoints.load(tmp_path / "bare", task="classify")


def _with_config(folder: Path, target: Path, config: dict[str, Any], own: dict[str, Any]) -> None:
    """The head of another family on this one's settings."""
    from sestina_model.pretrained.families.keys import Keys
    from sestina_model.pretrained.sequence_heads import read_sequence_head

    assert read_sequence_head(Keys(own, folder), 32).labels == ("LABEL_0", "LABEL_1")
    read_sequence_head(Keys(config, target), 32)


def test_tasks_and_gates_that_do_not_fit(tmp_path: Path) -> None:
    checkpoint = head_checkpoint("classify", labels=2, activation="softmax")
    for options, said in (
        ({"task": "sing"}, "task is 'sing'; it must be one of embedding, rerank, classify, tag, .*or None"),
        ({"task": "rerank"}, "task is 'rerank'; this source is of the task 'classify': leave it out"),
        (
            {"gate": QualityGate()},
            "gate is a QualityGate; a bundle of the task classify is held to a LabelGate",
        ),
        ({"pooling": "mean"}, "pooling is of embeddings; the task classify has what its head says"),
    ):
        with pytest.raises(ExportError, match=said):
            export(checkpoint, tmp_path / "out.sestina", **options)  # type: ignore[arg-type]
    with pytest.raises(ExportError, match="the gate's agreement is 2; it must be a number from -1 to 1"):
        LabelGate(agreement=2)

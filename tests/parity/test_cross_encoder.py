"""Rerankers against sentence-transformers' CrossEncoder, from the folder that transformers saves to scores."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import sestina
from _heads import FAMILIES, head_folder
from sestina_export import export
from sestina_model import checkpoint as checkpoints

pytest.importorskip("transformers")
sentence_transformers = pytest.importorskip("sentence_transformers")

TOLERANCE = 1e-5
LONG = "the model embeds the text, and the text is a sequence of tokens " * 4
PAIRS = [
    ("which model relates tokens", "attention relates the tokens of a sequence to one another"),
    ("a", "b"),
    ("the model", ""),
    ("numbers", LONG),  # the second is cut
    (LONG, "numbers"),  # the first is
    (LONG, LONG + "x"),  # both are, and of an odd number the longer has one more
    (LONG + "x y", LONG),
    ("naïve café 注意力", "the transformer is an innovative NLP model !"),
]


def reference(folder: Path, pairs: list[tuple[str, str]] = PAIRS) -> Any:
    """Logits, (n, labels)."""
    model = sentence_transformers.CrossEncoder(str(folder), device="cpu")
    found = model.predict(pairs, activation_fn=torch.nn.Identity(), batch_size=1, show_progress_bar=False)
    return np.asarray(found).reshape(len(pairs), -1)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("labels", [1, 3])
def test_a_checkpoint_gives_the_logits(family: str, labels: int, tmp_path: Path) -> None:
    folder = head_folder(family, tmp_path, labels=labels)
    checkpoint = checkpoints.load(folder, task="rerank")
    wanted = reference(folder)
    allowed = TOLERANCE * max(1.0, float(np.abs(wanted).max()))
    assert np.abs(checkpoint.encode(PAIRS) - wanted).max() <= allowed
    swapped = checkpoint.encode([(document, query) for query, document in PAIRS])
    assert np.abs(swapped - wanted).max() > 100 * allowed


@pytest.mark.parametrize("family", ["bert", "xlm-roberta", "modernbert"])
def test_a_bundle_gives_the_scores(family: str, tmp_path: Path) -> None:
    folder = head_folder(family, tmp_path / "checkpoint")
    result = export(folder, tmp_path / "out.sestina", precisions=["fp32"])
    assert result.manifest.task == "rerank"
    assert result.manifest.contract.activation == "sigmoid"
    model = sentence_transformers.CrossEncoder(str(folder), device="cpu")
    wanted = model.predict(PAIRS, batch_size=1, show_progress_bar=False)
    with sestina.load_reranker(result.path) as reranker:
        assert reranker.verify().passed
        scores = reranker.score_pairs(PAIRS, on_truncate="ignore")
        query, documents = PAIRS[0][0], [document for _, document in PAIRS]
        ranked = reranker.rank(query, documents, top_k=3, on_truncate="ignore")
        swapped = reranker.score_pairs([(b or "x", a) for a, b in PAIRS], on_truncate="ignore")
    assert scores.dtype == np.float32
    assert np.abs(scores - wanted).max() <= TOLERANCE
    assert np.abs(swapped - wanted).max() > 1e-3
    found = model.rank(query, documents, top_k=3, batch_size=1, show_progress_bar=False)
    assert [each.position for each in ranked] == [each["corpus_id"] for each in found]
    assert np.allclose([each.score for each in ranked], [each["score"] for each in found], atol=TOLERANCE)


def test_a_cut_is_of_the_longer_text_first(tmp_path: Path) -> None:
    """The negative control of how pairs are cut: "only_second" gives other ids, and other logits."""
    folder = head_folder("bert", tmp_path)
    checkpoint = checkpoints.load(folder, task="rerank")
    tokenizer = sentence_transformers.CrossEncoder(str(folder), device="cpu").tokenizer
    for strategy, alike in (("longest_first", True), ("only_second", False)):
        given = tokenizer("numbers are " * 12, LONG, truncation=strategy, max_length=40)["input_ids"]
        assert (checkpoint.tokenize([("numbers are " * 12, LONG)]) == [given]) is alike


@pytest.mark.parametrize("activation", ["Identity", "Sigmoid", "Tanh"])
def test_the_activation_is_what_the_configuration_says(activation: str, tmp_path: Path) -> None:
    folder = head_folder("bert", tmp_path)
    config = json.loads((folder / "config.json").read_text("utf-8"))
    module = "linear" if activation == "Identity" else "activation"
    own = {"activation_fn": f"torch.nn.modules.{module}.{activation}", "version": "5.0.0"}
    (folder / "config.json").write_text(json.dumps(config | {"sentence_transformers": own}), "utf-8")
    found = sentence_transformers.CrossEncoder(str(folder), device="cpu").activation_fn
    assert type(found).__name__ == activation
    assert checkpoints.load(folder, task="rerank").model.head.activation == activation.lower()


def test_files_that_count_beside_modules_json_alone(tmp_path: Path) -> None:
    """Without it sentence-transformers reads none of its other files."""
    folder = head_folder("bert", tmp_path)
    options = {"max_seq_length": 9, "do_lower_case": True}
    (folder / "sentence_bert_config.json").write_text(json.dumps(options), "utf-8")
    stated = {"model_type": "CrossEncoder", "activation_fn": "torch.nn.modules.activation.Tanh"}
    (folder / "config_sentence_transformers.json").write_text(json.dumps(stated), "utf-8")
    model = sentence_transformers.CrossEncoder(str(folder), device="cpu")
    checkpoint = checkpoints.load(folder, task="rerank")
    assert checkpoint.model.head.max_tokens == model[0].max_seq_length == 40
    assert type(model.activation_fn).__name__ == "Sigmoid"
    assert checkpoint.model.head.activation == "sigmoid"
    logits = model.predict(PAIRS, batch_size=1, activation_fn=torch.nn.Identity(), show_progress_bar=False)
    assert np.abs(checkpoint.encode(PAIRS)[:, 0] - logits).max() <= TOLERANCE


def test_a_saved_cross_encoder_and_one_in_memory(tmp_path: Path) -> None:
    model = sentence_transformers.CrossEncoder(str(head_folder("bert", tmp_path / "plain")), device="cpu")
    model.save_pretrained(str(tmp_path / "saved"))
    saved = export(tmp_path / "saved", tmp_path / "saved.sestina", precisions=["fp32"])
    memory = export(model, tmp_path / "memory.sestina", precisions=["fp32"], task="rerank")
    assert saved.manifest.space == memory.manifest.space
    assert saved.manifest.task == "rerank"


def test_int8_orders_documents_alike(tmp_path: Path) -> None:
    folder = head_folder("bert", tmp_path / "checkpoint")
    result = export(folder, tmp_path / "out.sestina")
    (int8,) = [each for each in result.manifest.variants if each.precision == "int8"]
    ranks = int8.parity["ranks"]
    assert ranks["rank_correlation"] >= ranks["gate"]["rank_correlation"]
    assert int8.parity["bit_equal_batches"] == [2, 5]
    documents = [document for _, document in PAIRS] * 3
    with sestina.load_reranker(result.path, precision="int8") as reranker:
        together = reranker.score("the model", documents, on_truncate="ignore")
        alone = [reranker.score("the model", [each], on_truncate="ignore")[0] for each in documents]
    assert together.tolist() == alone  # bit by bit, in any company

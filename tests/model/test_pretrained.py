"""Checkpoint folders as others lay them out: what is read, and what is refused by its name.

The folders are written by hand here, name by name, so that nothing of the reader takes part. That the
numbers are right is held against transformers in tests/parity.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, normalizers, processors

from _tiny import TEXTS, tiny_bpe, tiny_roberta, tiny_wordpiece, tiny_xlm_roberta
from sestina_model._errors import CheckpointError, UnsupportedCheckpointError
from sestina_model._tokenizers import read_tokenizer
from sestina_model.checkpoint import load, save

D, FF, LAYERS, POSITIONS = 32, 64, 2, 40

BERT_LAYER = {
    "attention.self.query": (D, D),
    "attention.self.key": (D, D),
    "attention.self.value": (D, D),
    "attention.output.dense": (D, D),
    "attention.output.LayerNorm": (D,),
    "intermediate.dense": (FF, D),
    "output.dense": (D, FF),
    "output.LayerNorm": (D,),
}
DISTILBERT_LAYER = {
    "attention.q_lin": (D, D),
    "attention.k_lin": (D, D),
    "attention.v_lin": (D, D),
    "attention.out_lin": (D, D),
    "sa_layer_norm": (D,),
    "ffn.lin1": (FF, D),
    "ffn.lin2": (D, FF),
    "output_layer_norm": (D,),
}
BERT_CONFIG = {
    "hidden_size": D,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 4,
    "intermediate_size": FF,
    "max_position_embeddings": POSITIONS,
    "type_vocab_size": 2,
}
CONFIGS = {
    "bert": BERT_CONFIG,
    "distilbert": {
        "dim": D,
        "n_layers": LAYERS,
        "n_heads": 4,
        "hidden_dim": FF,
        "max_position_embeddings": POSITIONS,
    },
    "roberta": BERT_CONFIG | {"type_vocab_size": 1, "pad_token_id": 1},
    "xlm-roberta": BERT_CONFIG | {"type_vocab_size": 1, "pad_token_id": 1},
}
TOKENIZERS = {
    "bert": tiny_wordpiece,
    "distilbert": tiny_wordpiece,
    "roberta": tiny_roberta,
    "xlm-roberta": tiny_xlm_roberta,
}


def family_tensors(model_type: str, vocab_size: int) -> dict[str, torch.Tensor]:
    distil = model_type == "distilbert"
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (vocab_size, D),
        "embeddings.position_embeddings.weight": (POSITIONS, D),
        "embeddings.LayerNorm.weight": (D,),
        "embeddings.LayerNorm.bias": (D,),
    }
    if not distil:
        types = CONFIGS[model_type]["type_vocab_size"]
        shapes["embeddings.token_type_embeddings.weight"] = (types, D)
    for index in range(LAYERS):
        layer = f"transformer.layer.{index}" if distil else f"encoder.layer.{index}"
        for name, shape in (DISTILBERT_LAYER if distil else BERT_LAYER).items():
            shapes[f"{layer}.{name}.weight"] = shape
            shapes[f"{layer}.{name}.bias"] = shape[:1]
    generator = torch.Generator().manual_seed(0)
    return {name: 0.3 * torch.randn(shape, generator=generator) for name, shape in sorted(shapes.items())}


def write_json(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def edit(path: Path, **changes: object) -> None:
    write_json(path, (json.loads(path.read_text()) if path.exists() else {}) | changes)


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Path]:
    def make(model_type: str = "bert", name: str = "tiny-model") -> Path:
        folder = tmp_path / name
        folder.mkdir()
        tokenizer = TOKENIZERS[model_type]()
        tokenizer.save(str(folder / "tokenizer.json"))
        config = {"model_type": model_type, "vocab_size": tokenizer.get_vocab_size()}
        write_json(folder / "config.json", config | CONFIGS[model_type])
        save_file(family_tensors(model_type, tokenizer.get_vocab_size()), folder / "model.safetensors")
        return folder

    return make


@pytest.fixture
def bert(make: Callable[..., Path]) -> Path:
    return make("bert")


@pytest.fixture
def sentence_bert(bert: Path) -> Path:
    """As sentence-transformers 2 to 5.3 wrote it."""
    write_modules(bert, "models.Transformer", "models.Pooling", "models.Normalize")
    write_json(bert / "1_Pooling" / "config.json", {"pooling_mode_mean_tokens": True})
    write_json(bert / "sentence_bert_config.json", {"max_seq_length": 16, "do_lower_case": False})
    return bert


def write_modules(folder: Path, *kinds: str, first: str = "") -> None:
    modules = [
        {
            "idx": index,
            "name": str(index),
            "path": f"{index}_{kind.rpartition('.')[2]}" if index else first,
            "type": f"sentence_transformers.{kind}" if "custom" not in kind else kind,
        }
        for index, kind in enumerate(kinds)
    ]
    write_json(folder / "modules.json", modules)


def refused(folder: Path, kind: type[CheckpointError] = UnsupportedCheckpointError) -> str:
    """The one line that a load fails with."""
    with pytest.raises(kind) as caught:
        load(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


class TestFamilies:
    @pytest.mark.parametrize("model_type", CONFIGS)
    def test_the_configuration(self, make: Callable[..., Path], model_type: str) -> None:
        config = load(make(model_type)).model.encoder.config
        fairseq = model_type in ("roberta", "xlm-roberta")
        assert config.to_dict() == {
            "vocab_size": TOKENIZERS[model_type]().get_vocab_size(),
            "n_layers": 2,
            "d_model": 32,
            "n_heads": 4,
            "d_ff": 64,
            "activation": "gelu",
            "norm": "post",
            "positions": "counted" if fairseq else "learned",
            "max_positions": POSITIONS - 2 if fairseq else POSITIONS,
            "scale_embeddings": False,
            "norm_embeddings": True,
            "token_types": "none" if model_type == "distilbert" else "folded",
            "dropout": 0.1,
            "layer_norm_eps": 1e-12,
            "pad_id": 1 if fairseq else 0,
        }

    def test_tables_are_folded_and_cut(self, make: Callable[..., Path]) -> None:
        folder = make("roberta")
        tensors = load_file(folder / "model.safetensors")
        encoder = load(folder).model.encoder
        words, types = (tensors[f"embeddings.{kind}_embeddings.weight"] for kind in ("word", "token_type"))
        assert torch.equal(encoder.tokens.weight, words + types[0])
        assert torch.equal(encoder.positions, tensors["embeddings.position_embeddings.weight"][1:])

    @pytest.mark.parametrize("model_type", CONFIGS)
    def test_becomes_our_own_checkpoint(
        self, make: Callable[..., Path], tmp_path: Path, model_type: str
    ) -> None:
        before = load(make(model_type))
        save(before, tmp_path / "own")
        np.testing.assert_array_equal(load(tmp_path / "own").encode(TEXTS), before.encode(TEXTS))

    def test_settings_that_are_given(self, bert: Path) -> None:
        edit(bert / "config.json", hidden_act="relu", layer_norm_eps=1e-5, hidden_dropout_prob=0.0)
        config = load(bert).model.encoder.config
        assert (config.activation, config.layer_norm_eps, config.dropout) == ("relu", 1e-5, 0.0)

    def test_stored_sinusoids_of_distilbert_are_a_table(self, make: Callable[..., Path]) -> None:
        folder = make("distilbert")
        edit(folder / "config.json", sinusoidal_pos_embds=True, activation="relu")
        config = load(folder).model.encoder.config
        assert (config.positions, config.activation) == ("learned", "relu")

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (
                {"model_type": "longformer"},
                "model_type 'longformer' is not supported; bert, distilbert, roberta, xlm-rob",
            ),
            ({"model_type": "new"}, "model_type 'new' is not supported"),
            ({"model_type": "deberta"}, "model_type 'deberta' is not supported"),
            (
                {"position_embedding_type": "relative_key_query"},
                "position_embedding_type 'relative_key_query' is not supported; only 'absolute' is",
            ),
            ({"position_embedding_type": "alibi"}, "position_embedding_type 'alibi' is not supported"),
            ({"position_embedding_type": "rotary"}, "position_embedding_type 'rotary' is not supported"),
            ({"rope_theta": 10000.0}, "rope_theta 10000.0 is not supported"),
            ({"hidden_act": "prelu"}, "hidden_act 'prelu' is not supported; gelu, gelu_python, gelu_new, "),
            ({"hidden_act": ["gelu"]}, "hidden_act ['gelu'] is not supported"),
            ({"is_decoder": True}, "is_decoder True is not supported; only False is"),
            ({"add_cross_attention": True}, "add_cross_attention True is not supported; only False is"),
            ({"quantization_config": {"bits": 4}}, "quantization_config {'bits': 4} is not supported"),
            ({"pruned_heads": {"0": [1]}}, "pruned_heads {'0': [1]} is not supported"),
            ({"auto_map": {"AutoModel": "m.M"}}, "auto_map {'AutoModel': 'm.M'} is not supported; code that"),
            # transformers reads the weights, or the whole configuration, of the files that these name.
            (
                {"transformers_weights": "other.safetensors"},
                "transformers_weights 'other.safetensors' is not supported; only 'model.safetensors' is",
            ),
            (
                {"configuration_files": ["config.4.0.0.json"]},
                "configuration_files ['config.4.0.0.json'] is not supported; [] and ['config.json'] are",
            ),
        ],
        ids=lambda value: next(iter(value.values())) if isinstance(value, dict) else "",
    )
    def test_what_the_encoder_does_not_have(self, bert: Path, change: dict, message: str) -> None:
        edit(bert / "config.json", **change)
        assert f"{bert / 'config.json'}: {message}" in refused(bert)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (
                {"model_type": None},
                "has no model_type; add the one of bert, distilbert, roberta, xlm-roberta",
            ),
            (
                {"hidden_size": "32"},
                "d_model is '32'; it must be a whole number of at least 1 (d_model is hidden_size there)",
            ),
            ({"num_attention_heads": 5}, "d_model is 32; it must be a multiple of n_heads, which is 5"),
            ({"pad_token_id": 10**6}, "pad_id is 1000000; it must be at least 0 and below"),
            ({"layer_norm_eps": None}, "layer_norm_eps is None; it must be above 0 and below 1"),
            ({"num_hidden_layers": 10**9}, "n_layers is 1000000000; it must be at most 1024"),
            (
                {"vocab_size": 10**30},
                "vocab_size is 1000000000000000000000000000000; it must be at most 16777216",
            ),
            ({"type_vocab_size": 0}, "type_vocab_size is 0; it must be a whole number of at least 1"),
        ],
        ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
    )
    def test_a_configuration_that_makes_no_sense(self, bert: Path, change: dict, message: str) -> None:
        edit(bert / "config.json", **change)
        text = refused(bert, CheckpointError)
        assert message in text
        assert str(bert / "config.json") in text

    def test_a_padding_id_that_is_null(self, make: Callable[..., Path]) -> None:
        folder = make("bert")
        edit(folder / "config.json", pad_token_id=None)
        assert load(folder).model.encoder.config.pad_id == 0  # it decides nothing there
        edit(folder / "config.json", model_type="roberta")
        assert "pad_id is None" in refused(folder, CheckpointError)

    @pytest.mark.parametrize("limit", [None, 10**30, 16, 1000])
    def test_padding_that_stands_in_every_text(self, make: Callable[..., Path], limit: int | None) -> None:
        """It takes no position, so there is room for one token more than there are positions."""
        folder = make("xlm-roberta")
        stated = {} if limit is None else {"model_max_length": limit}
        write_json(folder / "tokenizer_config.json", {"tokenizer_class": "XLMRobertaTokenizer"} | stated)
        positions = load(folder).model.encoder.config.max_positions
        assert positions > 16
        edit(folder / "config.json", pad_token_id=load(folder).tokenizer.encode("").ids[-1])
        if limit == 16:
            assert load(folder).model.head.max_tokens == 16  # there positions are enough
        else:
            message = refused(folder)
            assert "'</s>' and stands in every text; state a max_seq_length of at most" in message

    def test_second_names_of_settings(self, make: Callable[..., Path]) -> None:
        folder = make("distilbert")
        expected = load(folder).encode(TEXTS)
        values = json.loads((folder / "config.json").read_text())
        values["num_attention_heads"] = values.pop("n_heads")
        write_json(folder / "config.json", values)
        np.testing.assert_array_equal(load(folder).encode(TEXTS), expected)
        edit(folder / "config.json", n_heads=2)
        message = refused(folder, CheckpointError)
        assert "n_heads is 2 and num_attention_heads, another name for it, is 4; state one" in message

    def test_numbers_of_thousands_of_digits(self, bert: Path) -> None:
        (bert / "config.json").write_text('{"hidden_size": ' + "1" * 5000 + "}")
        assert "config.json is not valid JSON" in refused(bert, CheckpointError)

    def test_an_adapter(self, bert: Path) -> None:
        write_json(bert / "adapter_config.json", {})
        assert "adapter_config.json: adapters are not supported" in refused(bert)


class TestWeights:
    def vectors(self, folder: Path) -> np.ndarray:
        return load(folder).encode(TEXTS)

    def rename(self, folder: Path, change: Callable[[str], str]) -> None:
        weights = folder / "model.safetensors"
        save_file({change(name): tensor for name, tensor in load_file(weights).items()}, weights)

    @pytest.mark.parametrize(
        ("model_type", "prefix"),
        [
            ("bert", "bert."),
            ("distilbert", "distilbert."),
            ("roberta", "roberta."),
            ("xlm-roberta", "roberta."),
        ],
    )
    def test_a_model_with_a_task_head(self, make: Callable[..., Path], model_type: str, prefix: str) -> None:
        folder = make(model_type)
        expected = self.vectors(folder)
        self.rename(folder, lambda name: prefix + name)
        weights = folder / "model.safetensors"
        beside = {
            f"{prefix}pooler.dense.weight": torch.full((D, D), torch.nan),  # no concern of the encoder
            f"{prefix}embeddings.position_ids": torch.arange(POSITIONS)[None],
            "cls.predictions.transform.LayerNorm.gamma": torch.ones(D),
            "lm_head.bias": torch.zeros(7),
            "classifier.dense.weight": torch.zeros(2, D),
            "pre_classifier.bias": torch.zeros(D),
            "vocab_transform.weight": torch.zeros(D, D),
            "vocab_layer_norm.bias": torch.zeros(D),
            "vocab_projector.bias": torch.zeros(9),
            "qa_outputs.bias": torch.zeros(2),
        }
        save_file({**load_file(weights), **beside}, weights)
        np.testing.assert_array_equal(self.vectors(folder), expected)

    def test_names_from_tensorflow(self, bert: Path) -> None:
        expected = self.vectors(bert)
        self.rename(
            bert,
            lambda name: name.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
                "LayerNorm.bias", "LayerNorm.beta"
            ),
        )
        np.testing.assert_array_equal(self.vectors(bert), expected)

    def test_shards(self, bert: Path) -> None:
        expected = self.vectors(bert)
        whole = bert / "model.safetensors"
        tensors = load_file(whole)
        whole.unlink()
        shards = {f"model-0000{part}-of-00003.safetensors": sorted(tensors)[part::3] for part in range(3)}
        for file, names in shards.items():
            save_file({name: tensors[name] for name in names}, bert / file)
        places = {name: file for file, names in shards.items() for name in names}
        write_json(bert / "model.safetensors.index.json", {"metadata": {}, "weight_map": places})
        np.testing.assert_array_equal(self.vectors(bert), expected)
        digests = sorted(hashlib.sha256((bert / file).read_bytes()).hexdigest() for file in shards)
        assert load(bert).source_sha256 == hashlib.sha256("".join(digests).encode()).hexdigest()

        (bert / "model-00001-of-00003.safetensors").unlink()
        message = refused(bert, CheckpointError)
        assert "lacks shards of its weights: model-00001-of-00003.safetensors; fetch them" in message

        edit(bert / "model.safetensors.index.json", weight_map={"a": "../elsewhere.safetensors"})
        assert "names files outside its folder: ../elsewhere.safetensors" in refused(bert, CheckpointError)

        edit(bert / "model.safetensors.index.json", weight_map=["a"])
        assert "weight_map must map every tensor to its file" in refused(bert, CheckpointError)

    def test_the_hash_of_one_file(self, bert: Path) -> None:
        expected = hashlib.sha256((bert / "model.safetensors").read_bytes()).hexdigest()
        assert load(bert).source_sha256 == expected

    def test_half_precision(self, bert: Path) -> None:
        weights = bert / "model.safetensors"
        halves = {name: tensor.half() for name, tensor in load_file(weights).items()}
        save_file(halves, weights)
        encoder = load(bert).model.encoder
        assert torch.equal(encoder.positions, halves["embeddings.position_embeddings.weight"].float())
        words, types = (halves[f"embeddings.{kind}_embeddings.weight"] for kind in ("word", "token_type"))
        assert torch.equal(encoder.tokens.weight, words.float() + types[0].float())  # not added in half

    def test_every_fault_at_once_by_the_names_in_the_folder(self, bert: Path) -> None:
        weights = bert / "model.safetensors"
        tensors = load_file(weights)
        del tensors["embeddings.token_type_embeddings.weight"], tensors["encoder.layer.1.output.dense.bias"]
        tensors["embeddings.position_embeddings.weight"] = torch.zeros(39, D)
        save_file(tensors, weights)
        assert refused(bert, CheckpointError) == (
            f"{bert}: the weights do not fit the configuration; missing: "
            f"embeddings.token_type_embeddings.weight, encoder.layer.1.output.dense.bias; misshapen: "
            f"embeddings.position_embeddings.weight [39, 32] instead of [40, 32]"
        )

    def test_the_same_weight_twice(self, bert: Path) -> None:
        weights = bert / "model.safetensors"
        name = "embeddings.LayerNorm.bias"
        save_file({**load_file(weights), f"bert.{name}": torch.zeros(D)}, weights)
        assert f"{name} is there twice" in refused(bert, CheckpointError)

    def test_a_weight_that_is_not_finite(self, bert: Path) -> None:
        weights = bert / "model.safetensors"
        tensors = load_file(weights)
        tensors["encoder.layer.0.intermediate.dense.bias"][0] = torch.inf
        save_file(tensors, weights)
        message = refused(bert, CheckpointError)
        assert f"{weights}: encoder.layer.0.intermediate.dense.bias holds NaN or infinity" in message

    def test_a_truncated_file(self, bert: Path) -> None:
        weights = bert / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[:-5])
        assert f"{weights} is not a whole safetensors file" in refused(bert, CheckpointError)

    @pytest.mark.parametrize("name", ["pytorch_model.bin", "pytorch_model.bin.index.json"])
    def test_pickled_weights(self, bert: Path, name: str) -> None:
        (bert / "model.safetensors").rename(bert / name)
        message = refused(bert, CheckpointError)
        assert f"{bert / name} is pickled and pickles are never read, since they can execute code" in message
        assert f"M.from_pretrained('{bert}').save_pretrained('{bert}')" in message

    def test_no_weights(self, bert: Path) -> None:
        (bert / "model.safetensors").unlink()
        assert "model.safetensors is missing; fetch the folder again" in refused(bert, CheckpointError)

    def test_a_broken_config(self, bert: Path) -> None:
        (bert / "config.json").write_text("{")
        assert f"{bert / 'config.json'} is not valid JSON" in refused(bert, CheckpointError)


class TestContract:
    def test_without_modules(self, bert: Path) -> None:
        head = load(bert).model.head
        assert (head.pooling, head.normalize, head.max_tokens) == ("mean", False, POSITIONS)

    @pytest.mark.parametrize(
        ("name", "content"),
        [
            ("chat_template.jinja", "{{ messages }}"),
            ("additional_chat_templates/tools.jinja", "{{ messages }}"),
            ("tokenizer_config.json", '{"chat_template": "{{ messages }}"}'),
            ("tokenizer_config.json", '{"chat_template": ""}'),
            ("tokenizer_config.json", '{"chat_template": [{"name": "default", "template": "a"}]}'),
        ],
    )
    def test_a_chat_template(self, sentence_bert: Path, name: str, content: str) -> None:
        """Without modules.json each text becomes a message there; with it only where a modality says so."""
        path = sentence_bert / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)
        assert load(sentence_bert).model.head.max_tokens == 16
        (sentence_bert / "modules.json").unlink()
        assert f"{path}: a chat template, which sentence-transformers" in refused(sentence_bert)
        path.write_text("{}")
        if name == "tokenizer_config.json":
            assert load(sentence_bert).model.head.max_tokens == POSITIONS

    @pytest.mark.parametrize(
        ("config", "limit"),
        [
            ({"model_max_length": 24}, 24),
            ({"max_len": 24}, 24),
            ({"model_max_length": 512}, POSITIONS),
            ({"model_max_length": 1000000000000000019884624838656}, POSITIONS),
            ({"model_max_length": 1e30}, POSITIONS),
            ({"model_max_length": None}, POSITIONS),
        ],
    )
    def test_the_limit_of_the_tokenizer(self, bert: Path, config: dict, limit: int) -> None:
        write_json(bert / "tokenizer_config.json", config)
        assert load(bert).model.head.max_tokens == limit

    def test_the_limit_of_roberta_leaves_out_the_rows_that_no_token_uses(
        self, make: Callable[..., Path]
    ) -> None:
        folder = make("roberta")
        write_modules(folder, "models.Transformer", "models.Pooling")
        write_json(folder / "1_Pooling" / "config.json", {})
        write_json(folder / "sentence_roberta_config.json", {"max_seq_length": POSITIONS})
        assert load(folder).model.head.max_tokens == POSITIONS - 2

    @pytest.mark.parametrize(
        "kinds",
        [
            ("models.Transformer", "models.Pooling", "models.Normalize"),
            ("models.Transformer", "models.Pooling", "models.Dropout", "models.Normalize"),
            (
                "base.modules.transformer.Transformer",
                "sentence_transformer.modules.pooling.Pooling",
                "sentence_transformer.modules.normalize.Normalize",
            ),
            (
                "base.modules.transformer.Transformer",
                "sentence_transformer.modules.pooling.Pooling",
                "base.modules.normalize.Normalize",
            ),
        ],
        ids=["2", "dropout", "5.4", "6"],
    )
    def test_class_paths_of_all_versions(self, sentence_bert: Path, kinds: tuple[str, ...]) -> None:
        write_modules(sentence_bert, *kinds)
        head = load(sentence_bert).model.head
        assert (head.pooling, head.normalize, head.max_tokens) == ("mean", True, 16)

    def test_normalisation_is_a_module(self, sentence_bert: Path) -> None:
        write_modules(sentence_bert, "models.Transformer", "models.Pooling")
        assert not load(sentence_bert).model.head.normalize

    @pytest.mark.parametrize(
        ("config", "pooling"),
        [
            ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}, "cls"),
            ({"pooling_mode_max_tokens": True}, "max"),
            ({"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False}, "mean"),
            ({"word_embedding_dimension": 32, "pooling_mode_mean_tokens": False}, "mean"),
            ({"embedding_dimension": 32, "pooling_mode": "cls", "include_prompt": False}, "cls"),
            ({"pooling_mode": ["max"]}, "max"),
            ({"pooling_mode_mean_sqrt_len_tokens": True}, "mean_sqrt_len_tokens"),
            ({"pooling_mode_weightedmean_tokens": True}, "weightedmean"),
            ({"pooling_mode_lasttoken": True}, "lasttoken"),
            ({"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": True}, "cls+mean"),
            ({"pooling_mode": ["mean", "max"]}, "mean+max"),
            ({"pooling_mode": "lasttoken", "pooling_mode_cls_token": True}, "lasttoken"),
            ({}, "mean"),
        ],
    )
    def test_pooling_of_all_versions(self, sentence_bert: Path, config: dict, pooling: str) -> None:
        write_json(sentence_bert / "1_Pooling" / "config.json", config)
        assert load(sentence_bert).model.head.pooling == pooling

    @pytest.mark.parametrize(
        ("config", "named"),
        [
            ({"pooling_mode": "median"}, "median"),
            ({"pooling_mode": ["mean", "first"]}, "mean with first"),
            ({"pooling_mode": []}, "[]"),
            ({"pooling_mode": 5}, "5"),
            (
                {"pooling_mode": ["mean"] * 17},
                "mean with mean with mean with mean with mean with mean with me",
            ),
            ({"pooling_mode": [None, ["mean"]]}, "None with ['mean']"),
        ],
    )
    def test_poolings_that_the_head_does_not_have(
        self, sentence_bert: Path, config: dict, named: str
    ) -> None:
        write_json(sentence_bert / "1_Pooling" / "config.json", config)
        message = refused(sentence_bert)
        assert message.startswith(f"{sentence_bert / '1_Pooling' / 'config.json'}: pooling_mode {named}")
        assert " is not supported; mean, cls, max, mean_sqrt_len_tokens," in message

    @pytest.mark.parametrize(
        ("kinds", "message"),
        [
            (
                ("base.modules.router.Router", "models.Pooling"),
                "the module sentence_transformers.base.modules.router.Router is not supported",
            ),
            (
                ("models.Transformer", "models.WeightedLayerPooling", "models.Pooling"),
                "the module sentence_transformers.models.WeightedLayerPooling is not supported",
            ),
            (
                ("models.Transformer", "models.Dense", "models.Pooling"),
                "the modules Transformer, Dense, Pooling are not supported; a Transformer and a Pooling, or",
            ),
            (
                ("models.Transformer", "models.Pooling", "models.Pooling"),
                "the modules Transformer, Pooling, Pooling are not supported",
            ),
            (
                ("models.WordEmbeddings",),
                "the module sentence_transformers.models.WordEmbeddings is not supported",
            ),
            (
                ("custom_st.Transformer", "models.Pooling"),
                "the module custom_st.Transformer is not supported",
            ),
            (
                ("models.Transformer",),
                "the modules Transformer are not supported; a Transformer and a Pooling, or a",
            ),
            (("models.Pooling", "models.Transformer"), "the modules Pooling, Transformer are not supported"),
            ((), "the modules (none) are not supported"),
        ],
    )
    def test_modules_that_the_head_does_not_have(
        self, sentence_bert: Path, kinds: tuple[str, ...], message: str
    ) -> None:
        write_modules(sentence_bert, *kinds)
        assert f"{sentence_bert / 'modules.json'}: {message}" in refused(sentence_bert)

    @pytest.mark.parametrize("first", ["../elsewhere", "/etc", "a/../../b"])
    def test_a_module_outside_the_folder(self, sentence_bert: Path, first: str) -> None:
        write_modules(sentence_bert, "models.Transformer", "models.Pooling", first=first)
        assert f"the path '{first}' leaves the folder" in refused(sentence_bert, CheckpointError)

    def test_modules_of_another_shape(self, sentence_bert: Path) -> None:
        write_json(sentence_bert / "modules.json", {"type": "Transformer"})
        message = refused(sentence_bert, CheckpointError)
        assert "must be a list of modules with a type and a path each" in message

    def test_a_missing_pooling(self, sentence_bert: Path) -> None:
        (sentence_bert / "1_Pooling" / "config.json").unlink()
        assert "1_Pooling/config.json cannot be read: No such file" in refused(sentence_bert, CheckpointError)

    def test_the_encoder_in_a_folder_of_its_own(self, sentence_bert: Path) -> None:
        expected = load(sentence_bert)
        write_modules(
            sentence_bert, "models.Transformer", "models.Pooling", "models.Normalize", first="0_Transformer"
        )
        names = ("config.json", "model.safetensors", "tokenizer.json", "sentence_bert_config.json")
        (sentence_bert / "0_Transformer").mkdir()
        for name in names:
            (sentence_bert / name).rename(sentence_bert / "0_Transformer" / name)
        found = load(sentence_bert)
        assert found.name == "tiny-model"
        assert found.model.head == expected.model.head
        np.testing.assert_array_equal(found.encode(TEXTS), expected.encode(TEXTS))
        (sentence_bert / "0_Transformer" / "config.json").unlink()
        assert "0_Transformer/config.json is missing" in refused(sentence_bert, CheckpointError)

    @pytest.mark.parametrize(
        "name", ["bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet"]
    )
    def test_the_limit_under_all_its_file_names(self, sentence_bert: Path, name: str) -> None:
        (sentence_bert / "sentence_bert_config.json").rename(sentence_bert / f"sentence_{name}_config.json")
        assert load(sentence_bert).model.head.max_tokens == 16

    @pytest.mark.parametrize(
        ("config", "limit"),
        [
            ({"max_seq_length": None}, 24),
            ({"max_seq_length": 512}, POSITIONS),
            ({"max_seq_length": 16, "tokenizer_args": {"model_max_length": 12}}, 12),
            ({"processor_kwargs": {"model_max_length": 12, "trust_remote_code": True}}, 12),
            ({"model_args": {"attn_implementation": "sdpa", "use_cache": False}}, 24),
            ({"tokenizer_args": {"use_fast": False, "padding_side": None}, "query_length": None}, 24),
            ({"config_args": {"local_files_only": False}, "processing_kwargs": {"text": {}}}, 24),
        ],
    )
    def test_which_limit_holds(self, sentence_bert: Path, config: dict, limit: int) -> None:
        write_json(sentence_bert / "tokenizer_config.json", {"model_max_length": 24})
        write_json(sentence_bert / "sentence_bert_config.json", config)
        assert load(sentence_bert).model.head.max_tokens == limit

    def test_a_file_of_options_that_says_nothing(self, sentence_bert: Path) -> None:
        """sentence-transformers then reads the next of its names."""
        write_json(sentence_bert / "sentence_bert_config.json", {})
        write_json(sentence_bert / "sentence_xlnet_config.json", {"max_seq_length": 9, "do_lower_case": True})
        assert load(sentence_bert).model.head.max_tokens == 9
        write_json(sentence_bert / "sentence_roberta_config.json", {"max_seq_length": 8})
        assert load(sentence_bert).model.head.max_tokens == 8

    @pytest.mark.parametrize(
        ("config", "message"),
        [
            ({"transformer_task": "fill-mask"}, "transformer_task 'fill-mask' is not supported"),
            ({"module_output_name": "sentence_embedding"}, "to sentence_embedding is not supported"),
            (
                {"modality_config": {"text": {"method": "get_text_features"}}},
                "the output get_text_features to last_hidden_state to token_embeddings is not supported",
            ),
            (
                {"modality_config": {"text": {}, "message": {"method": "forward", "format": "flat"}}},
                "the modality 'message' of modality_config is not supported, which puts every text into",
            ),
            ({"modality_config": {"image": {}}}, "modality_config {'image': {}} is not supported; it must"),
            ({"modality_config": {}}, "modality_config {} is not supported; it must have 'text'"),
            ({"tokenizer_args": {"padding_side": "left"}}, "tokenizer_args {'padding_side': 'left'} is not"),
            # What is false overrides another file as what is true does.
            ({"tokenizer_args": {"do_lower_case": False}}, "tokenizer_args {'do_lower_case': False} is not"),
            ({"tokenizer_args": {"padding_side": ""}}, "tokenizer_args {'padding_side': ''} is not"),
            ({"processor_kwargs": {"add_special_tokens": False}}, "{'add_special_tokens': False} is not"),
            ({"config_args": {"is_causal": False}}, "config_args {'is_causal': False} is not supported"),
            ({"config_kwargs": {"num_hidden_layers": 0}}, "config_kwargs {'num_hidden_layers': 0} is not"),
            ({"model_kwargs": {"tie": False}}, "model_kwargs {'tie': False} is not supported; save the"),
            ({"processing_kwargs": {"text": False}}, "processing_kwargs {'text': False} is not supported"),
            ({"query_length": 0}, "query_length 0 is not supported; leave it out"),
            ({"config_args": {"hidden_act": "relu"}}, "config_args {'hidden_act': 'relu'} is not supported"),
            (
                {"processing_kwargs": {"text": {"max_length": 3}}},
                "processing_kwargs {'text': {'max_length': 3}}",
            ),
        ],
    )
    def test_options_that_are_not_supported(self, sentence_bert: Path, config: dict, message: str) -> None:
        write_json(sentence_bert / "sentence_bert_config.json", config)
        assert message in refused(sentence_bert)

    @pytest.mark.parametrize(
        ("name", "config", "message"),
        [
            (
                "sentence_bert_config.json",
                {"do_lower_case": "yes"},
                "do_lower_case is 'yes'; it must be true or",
            ),
            (
                "sentence_bert_config.json",
                {"processor_kwargs": [1]},
                "processor_kwargs is [1]; it must be an obj",
            ),
            (
                "sentence_bert_config.json",
                {"modality_config": {"text": 3}},
                "text is 3; it must be an object",
            ),
            (
                "config_sentence_transformers.json",
                {"prompts": ["a"]},
                "prompts is ['a']; it must be an object",
            ),
            (
                "1_Pooling/config.json",
                {"pooling_mode_cls_token": 1},
                "pooling_mode_cls_token is 1; it must be",
            ),
        ],
    )
    def test_values_of_another_type(self, sentence_bert: Path, name: str, config: dict, message: str) -> None:
        write_json(sentence_bert / name, config)
        assert message in refused(sentence_bert, CheckpointError)

    @pytest.mark.parametrize(
        ("name", "config", "message"),
        [
            (
                "sentence_bert_config.json",
                {"model_args": {"hidden_act": "relu"}},
                "model_args {'hidden_act': 'relu'",
            ),
            (
                "sentence_bert_config.json",
                {"tokenizer_name_or_path": "a"},
                "tokenizer_name_or_path 'a' is not sup",
            ),
            (
                "sentence_bert_config.json",
                {"query_length": 8},
                "query_length 8 is not supported; leave it out",
            ),
            (
                "sentence_bert_config.json",
                {"document_length": 8},
                "document_length 8 is not supported; leave it out",
            ),
            ("1_Pooling/config.json", {"pooling_mode": None}, "pooling_mode None is not supported"),
        ],
    )
    def test_options_that_were_dropped(
        self, sentence_bert: Path, name: str, config: dict, message: str
    ) -> None:
        write_json(sentence_bert / name, config)
        assert message in refused(sentence_bert)

    @pytest.mark.parametrize("out_features", [10**30, 2**24 + 1, 0])
    def test_a_dense_wider_than_any(self, sentence_bert: Path, out_features: int) -> None:
        write_modules(sentence_bert, "models.Transformer", "models.Pooling", "models.Dense")
        write_json(sentence_bert / "2_Dense/config.json", {"in_features": 32, "out_features": out_features})
        told = refused(sentence_bert, CheckpointError)
        assert told.startswith(f"{sentence_bert / '2_Dense' / 'config.json'}: out_features is {out_features}")

    def test_null_is_no_lower_casing(self, sentence_bert: Path) -> None:
        expected = load(sentence_bert).tokenize(TEXTS)
        edit(sentence_bert / "sentence_bert_config.json", do_lower_case=None)
        assert load(sentence_bert).tokenize(TEXTS) == expected

    def test_two_modules_of_one_name(self, sentence_bert: Path) -> None:
        path = sentence_bert / "modules.json"
        write_json(path, [entry | {"name": "0"} for entry in json.loads(path.read_text())])
        assert "two modules have one name" in refused(sentence_bert, CheckpointError)

    @pytest.mark.parametrize("value", [0, "16", True, 16.0])
    def test_a_limit_that_makes_no_sense(self, sentence_bert: Path, value: object) -> None:
        write_json(sentence_bert / "sentence_bert_config.json", {"max_seq_length": value})
        message = refused(sentence_bert, CheckpointError)
        assert f"max_seq_length is {value!r}; it must be a whole number of at least 1" in message

    @pytest.mark.parametrize(
        ("config", "message"),
        [
            (
                {"prompts": {"query": "query: "}, "default_prompt_name": "passage"},
                "default_prompt_name is 'passage'; it must be null or one of its prompts, 'query'",
            ),
            ({"default_prompt_name": ["q"]}, "default_prompt_name is ['q']; it must be null or one of"),
            ({"prompts": {"query": ["query: "]}}, "the prompt 'query' is ['query: ']; it must be a string"),
            ({"prompts": {"q": "\ud800"}}, "the prompt 'q' has a lone surrogate; make it valid"),
            ({"prompts": {"\udfff": "q"}}, "the prompt '\\udfff' has a lone surrogate; make it"),
            ({"prompts": ["query: "]}, "prompts is ['query: ']; it must be an object"),
            ({"truncate_dim": 0}, "truncate_dim is 0; it must be a whole number of at least 1, or null"),
            ({"truncate_dim": "16"}, "truncate_dim is '16'; it must be a whole number"),
            ({"similarity_fn_name": "maxsim"}, "similarity_fn_name 'maxsim' is not supported; cosine, dot,"),
            ({"similarity_fn_name": ["dot"]}, "similarity_fn_name ['dot'] is not supported"),
            ({"model_type": "SparseEncoder"}, "model_type 'SparseEncoder' is not supported"),
        ],
    )
    def test_what_a_model_may_ask_for(self, sentence_bert: Path, config: dict, message: str) -> None:
        write_json(sentence_bert / "config_sentence_transformers.json", config)
        told = refused(sentence_bert, CheckpointError)
        assert f"{sentence_bert / 'config_sentence_transformers.json'}: {message}" in told

    @pytest.mark.parametrize(
        ("config", "prompts", "default"),
        [
            ({"prompts": {"query": "q: ", "document": "d: "}}, {"query": "q: ", "document": "d: "}, None),
            ({"prompts": {"query": "q: "}, "default_prompt_name": "query"}, {"query": "q: "}, "query"),
            # sentence-transformers 6 has an empty "document" of its own, so a passage is none.
            ({"prompts": {"passage": "p: "}}, {"passage": "p: ", "document": ""}, None),
            ({"prompts": {"query": "q: ", "document": None}}, {"query": "q: ", "document": ""}, None),
            ({"prompts": {"query": "q: "}, "default_prompt_name": "document"}, {"query": "q: "}, None),
            ({"prompts": {"query": "", "document": ""}, "default_prompt_name": "query"}, {}, None),
            ({"prompts": None}, {}, None),
        ],
    )
    def test_prompts(self, sentence_bert: Path, config: dict, prompts: dict, default: str | None) -> None:
        write_json(sentence_bert / "config_sentence_transformers.json", config)
        head = load(sentence_bert).model.head
        assert (dict(head.prompts), head.default_prompt) == (prompts, default)

    def test_the_cut_and_the_similarity(self, sentence_bert: Path) -> None:
        config = {"truncate_dim": 12, "similarity_fn_name": "euclidean"}
        write_json(sentence_bert / "config_sentence_transformers.json", config)
        checkpoint = load(sentence_bert)
        assert (checkpoint.dimensions, checkpoint.model.head.similarity) == (12, "euclidean")
        assert not checkpoint.model.unit_length  # it is cut once it is normalised
        edit(sentence_bert / "config_sentence_transformers.json", truncate_dim=99)
        checkpoint = load(sentence_bert)
        assert checkpoint.dimensions == checkpoint.model.encoder.config.d_model
        assert checkpoint.model.unit_length

    @pytest.mark.parametrize(
        "config",
        [
            {"prompts": {"query": "query: "}, "default_prompt_name": None},
            {"prompts": {"query": "", "document": ""}, "default_prompt_name": "query"},
            {"model_type": "SentenceTransformer", "similarity_fn_name": "cosine", "truncate_dim": None},
        ],
    )
    def test_what_a_model_may_say(self, sentence_bert: Path, config: dict) -> None:
        write_json(sentence_bert / "config_sentence_transformers.json", config)
        assert load(sentence_bert).model.head.max_tokens == 16

    def test_normalisation_of_tokens(self, sentence_bert: Path) -> None:
        write_json(sentence_bert / "2_Normalize" / "config.json", {"module_input_name": "token_embeddings"})
        assert "module_input_name 'token_embeddings' is not supported" in refused(sentence_bert)


class TestTokenizer:
    def test_baked_in_padding_and_truncation_do_not_count(self, bert: Path) -> None:
        expected = load(bert).tokenize(TEXTS)
        tokenizer = tiny_wordpiece()
        tokenizer.enable_truncation(6)
        tokenizer.enable_padding(length=6)
        tokenizer.save(str(bert / "tokenizer.json"))
        assert load(bert).tokenize(TEXTS) == expected
        assert max(map(len, expected)) == POSITIONS

    @pytest.mark.parametrize(
        ("config", "lowered"),
        [
            ({}, True),
            ({"do_lower_case": False}, False),
            ({"do_lower_case": False, "tokenizer_class": "BertTokenizerFast"}, False),
            ({"do_lower_case": False, "tokenizer_class": "PreTrainedTokenizerFast"}, True),
        ],
    )
    def test_the_class_of_bert_overrides_the_file(self, bert: Path, config: dict, lowered: bool) -> None:
        write_json(bert / "tokenizer_config.json", config)
        upper, lower = load(bert).tokenize(["The MODEL", "the model"])
        assert (upper == lower) is lowered

    def test_the_class_of_bert_lower_cases_unless_told_otherwise(self, bert: Path) -> None:
        tokenizer = tiny_wordpiece()
        tokenizer.normalizer = normalizers.BertNormalizer(lowercase=False, handle_chinese_chars=False)
        tokenizer.save(str(bert / "tokenizer.json"))
        upper, lower = load(bert).tokenize(["The MODEL", "the model"])
        assert upper == lower

    def test_the_class_of_roberta_overrides_the_file(self, make: Callable[..., Path]) -> None:
        folder = make("roberta")
        bare, spaced = load(folder).tokenize(["the model", " the model"])
        assert bare != spaced
        write_json(folder / "tokenizer_config.json", {"add_prefix_space": True})
        assert load(folder).tokenize(["the model"]) == [spaced]

    def test_lower_casing_of_sentence_transformers(self, sentence_bert: Path) -> None:
        tokenizer = tiny_wordpiece()
        tokenizer.normalizer = normalizers.Sequence([normalizers.NFC()])
        tokenizer.save(str(sentence_bert / "tokenizer.json"))
        write_json(sentence_bert / "tokenizer_config.json", {"tokenizer_class": "PreTrainedTokenizerFast"})
        texts = ["The MODEL", "the model"]
        upper, lower = load(sentence_bert).tokenize(texts)
        assert upper != lower
        edit(sentence_bert / "sentence_bert_config.json", do_lower_case=True)
        loaded = load(sentence_bert)
        assert loaded.tokenize(texts) == [lower, lower]
        assert json.loads(loaded.tokenizer.to_str())["normalizer"]["normalizers"][0] == {"type": "Lowercase"}

    @pytest.mark.parametrize("steps", [None, [normalizers.Lowercase()]], ids=["none", "there already"])
    def test_lower_casing_without_a_step_to_spare(self, sentence_bert: Path, steps: list | None) -> None:
        data = json.loads(tiny_wordpiece().to_str())
        data["normalizer"] = None
        tokenizer = Tokenizer.from_str(json.dumps(data))
        if steps is not None:
            tokenizer.normalizer = normalizers.Sequence(steps)
        tokenizer.save(str(sentence_bert / "tokenizer.json"))
        write_json(sentence_bert / "tokenizer_config.json", {"tokenizer_class": "PreTrainedTokenizerFast"})
        edit(sentence_bert / "sentence_bert_config.json", do_lower_case=True)
        loaded = load(sentence_bert)
        assert loaded.tokenizer.to_str().count('"Lowercase"') == 1
        assert loaded.tokenize(["The MODEL"]) == loaded.tokenize(["the model"])

    def test_the_special_tokens_of_roberta_survive_the_cut(self, make: Callable[..., Path]) -> None:
        folder = make("roberta")
        write_json(folder / "tokenizer_config.json", {"model_max_length": 5})
        (ids,) = load(folder).tokenize(["model " * 20])
        assert (ids[0], ids[-1], len(ids)) == (0, 2, 5)

    def test_no_tokenizer(self, bert: Path) -> None:
        (bert / "tokenizer.json").unlink()
        (bert / "vocab.txt").write_text("[PAD]\n")
        message = refused(bert, CheckpointError)
        assert f"{bert / 'tokenizer.json'} is missing; make it: python -c " in message
        assert f"T.from_pretrained('{bert}').save_pretrained('{bert}')" in message

    def test_tokens_that_are_named_beside_the_file(self, bert: Path) -> None:
        edit(bert / "config.json", vocab_size=(size := tiny_wordpiece().get_vocab_size()) + 1)
        weights = bert / "model.safetensors"
        save_file(family_tensors("bert", size + 1), weights)
        text = "the <new> model"
        (before,) = load(bert).tokenize([text])
        assert size not in before
        for name, values in (
            ("added_tokens.json", {"<new>": size}),
            ("tokenizer_config.json", {"additional_special_tokens": ["<new>"]}),
            ("tokenizer_config.json", {"extra_special_tokens": {"new_token": "<new>"}}),
            ("tokenizer_config.json", {"new_token": "<new>"}),
            ("tokenizer_config.json", {"added_tokens_decoder": {str(size): {"content": "<new>"}}}),
            ("special_tokens_map.json", {"additional_special_tokens": ["<new>"]}),
            ("special_tokens_map.json", {"mask_token": {"content": "<new>"}}),
        ):
            write_json(bert / name, values)
            (found,) = load(bert).tokenize([text])
            assert found.count(size) == 1, name
            (bert / name).unlink()
        write_json(bert / "added_tokens.json", {"<new>": size, "<newer>": size + 1})
        message = refused(bert, CheckpointError)
        assert f"the tokenizer gives ids up to {size + 1}; this encoder has {size + 1} rows" in message
        assert "Beyond it are 1 tokens (<newer>)" in message

    def test_tokens_of_another_model_are_left_out(self, bert: Path) -> None:
        """As EmbeddingGemma's folder names a token of images, one beyond its table."""
        size = tiny_wordpiece().get_vocab_size()
        before = load(bert).tokenize(["the <image> model", "the model"])
        write_json(bert / "tokenizer_config.json", {"image_token": "<image>"})
        assert load(bert).tokenize(["the <image> model", "the model"]) == before
        assert load(bert).tokenizer.get_vocab_size() == size
        write_json(bert / "tokenizer_config.json", {"image_token": "<image>", "pad_token": "<none>"})
        assert f"gives ids up to {size}" in refused(bert, CheckpointError)  # a role is no other model's

    def test_a_token_that_the_class_adds_and_the_table_lacks(self, make: Callable[..., Path]) -> None:
        folder = make("roberta")
        size = tiny_bpe().get_vocab_size()
        edit(folder / "config.json", vocab_size=size + 3)
        tiny_bpe().save(str(folder / "tokenizer.json"))  # it has none of the five
        assert "(<pad>, <mask>)" in refused(folder, CheckpointError)

    @pytest.mark.parametrize("name", ["PreTrainedTokenizerFast", "BertTokenizer"])
    def test_a_token_that_is_stated_twice(self, bert: Path, name: str) -> None:
        """transformers has the second one, and what it finds of both is neither's."""
        write_json(bert / "tokenizer_config.json", {"tokenizer_class": name})
        document = json.loads((bert / "tokenizer.json").read_text("utf-8"))
        mask = next(token for token in document["added_tokens"] if token["content"] == "[MASK]")
        document["added_tokens"].append(mask | {"id": len(document["model"]["vocab"]), "lstrip": True})
        write_json(bert / "tokenizer.json", document)
        assert "tokenizer.json: the added token '[MASK]' is there twice with different" in refused(bert)

    @pytest.mark.parametrize("name", ["ElectraTokenizer", "ElectraTokenizerFast", "BertTokenizerFast"])
    def test_classes_that_build_all_but_the_vocabulary(self, bert: Path, name: str) -> None:
        tokenizer = tiny_wordpiece()
        expected = tokenizer.encode("The MODEL").ids
        tokenizer.normalizer = normalizers.BertNormalizer(lowercase=False)
        tokenizer.post_processor = None
        tokenizer.save(str(bert / "tokenizer.json"))
        write_json(bert / "tokenizer_config.json", {"tokenizer_class": name})
        assert load(bert).tokenize(["The MODEL"]) == [expected]

    def test_mpnet_puts_its_own_tokens_around_a_text(self, bert: Path) -> None:
        own = {"cls_token": "[CLS]", "sep_token": "[SEP]", "bos_token": "[CLS]", "eos_token": "[SEP]"}
        rest = {"unk_token": "[UNK]", "pad_token": "[PAD]", "mask_token": "[MASK]"}
        write_json(bert / "tokenizer_config.json", {"tokenizer_class": "MPNetTokenizer", **own, **rest})
        expected = tiny_wordpiece().encode("The MODEL").ids
        assert load(bert).tokenize(["The MODEL"]) == [expected]

    @pytest.mark.parametrize(
        ("config", "message"),
        [
            (
                {"tokenizer_class": "CLIPTokenizer"},
                "tokenizer_class 'CLIPTokenizer' is not supported; Albert",
            ),
            ({"tokenizer_class": 5}, "tokenizer_class 5 is not supported"),
            (
                {"tokenizer_class": "RobertaTokenizer"},
                "takes a BPE vocabulary, and tokenizer.json has WordPiece",
            ),
            ({"split_special_tokens": True}, "split_special_tokens True is not supported; only false is"),
            (
                {"auto_map": {"AutoTokenizer": ["a.B", None]}},
                "code that comes with a checkpoint is never run",
            ),
            ({"fast_tokenizer_files": ["tokenizer.4.0.json"]}, "only tokenizer.json is read"),
            ({"truncation_side": None}, "truncation_side None is not supported"),
            (
                {
                    "added_tokens_decoder": {
                        "4": {"content": "[MASK]"},
                        "9": {"content": "[MASK]", "lstrip": True},
                    }
                },
                "the added token '[MASK]' is there twice with different options",
            ),
        ],
        ids=str,
    )
    def test_what_one_file_cannot_hold(self, bert: Path, config: dict, message: str) -> None:
        write_json(bert / "tokenizer_config.json", config)
        assert message in refused(bert)

    @pytest.mark.parametrize(
        ("config", "message"),
        [
            ({"do_lower_case": None}, "do_lower_case is None; it must be true or false"),
            ({"strip_accents": "no"}, "strip_accents is 'no'; it must be true or false"),
            ({"cls_token": None}, "cls_token is None; its class needs that token"),
            ({"unk_token": None}, "unk_token is null; its class needs that token"),
            ({"mask_token": 5}, "mask_token is 5; it must be a token"),
            (
                {"mask_token": {"content": "[MASK]"}},
                "mask_token is {'content': '[MASK]'}; it must be a token",
            ),
            ({"extra_special_tokens": [None]}, "extra_special_tokens is None; it must be a token"),
            ({"added_tokens_decoder": {"x": {"content": "a"}}}, "'x' is not the id of a token"),
            ({"added_tokens_decoder": {"1": {"content": 5}}}, "{'content': 5} is not a token"),
            ({"model_max_length": 24.5}, "model_max_length is 24.5; it must be a whole number of at least 1"),
            ({"model_max_length": 0}, "model_max_length is 0; it must be a whole number of at least 1"),
            (
                {"model_input_names": "input_ids"},
                "model_input_names is 'input_ids'; it must be a list of names",
            ),
        ],
        ids=str,
    )
    def test_options_that_make_no_sense(self, bert: Path, config: dict, message: str) -> None:
        write_json(bert / "tokenizer_config.json", config)
        assert message in refused(bert, CheckpointError)

    def test_token_types_other_than_0(self, bert: Path) -> None:
        tokenizer = tiny_wordpiece()
        tokenizer.post_processor = processors.TemplateProcessing(
            single="[CLS]:0 $A:1 [SEP]:1", pair="$A $B", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
        )
        tokenizer.save(str(bert / "tokenizer.json"))
        whole = {"tokenizer_class": "PreTrainedTokenizerFast"}
        write_json(bert / "tokenizer_config.json", whole)
        expected = load(bert).tokenize(["the model"])  # the encoder is not told of them
        write_json(
            bert / "tokenizer_config.json", whole | {"model_input_names": ["input_ids", "token_type_ids"]}
        )
        assert "gives a text token type 1, which is not supported; only 0 is" in refused(bert)
        write_json(bert / "tokenizer_config.json", {})  # BERT's class has a template of its own
        assert load(bert).tokenize(["the model"]) == expected

    def test_a_side_that_is_not_supported(self, bert: Path) -> None:
        write_json(bert / "tokenizer_config.json", {"truncation_side": "left"})
        assert "truncation_side 'left' is not supported; only 'right' is" in refused(bert)

    def test_a_vocabulary_larger_than_the_table(self, bert: Path) -> None:
        tiny_bpe().save(str(bert / "tokenizer.json"))
        write_json(bert / "tokenizer_config.json", {"tokenizer_class": "PreTrainedTokenizerFast"})
        message = refused(bert, CheckpointError)
        assert re.search(r"the tokenizer gives ids up to 359; this encoder has \d+ rows", message)


class TestCard:
    @pytest.mark.parametrize(
        ("text", "licence"),
        [
            ("---\nlanguage: en\nlicense: apache-2.0\ntags:\n- x\n---\n# Title", "apache-2.0"),
            ("---\r\nlicense: mit\r\n---\r\n", "mit"),
            ("---\nlicense: 'cc-by-4.0'\n---\n", "cc-by-4.0"),
            ("---\nlicense:\n- mit\n- apache-2.0\ntags: []\n---\n", "mit, apache-2.0"),
            ("---\nlicense: [mit, apache-2.0]\n---\n", "mit, apache-2.0"),
            ("---\nlicense: other\nlicense_name: own-1.0\nlicense_link: LICENSE\n---\n", "own-1.0"),
            ("---\nlicense: other\n---\n", "other"),
            ("---\nlanguage: en\n---\nlicense: gpl\n", None),
            ("# Title\n\nlicense: gpl\n", None),
            ("---\nlicense:\n---\n", None),
            ("", None),
        ],
    )
    def test_licence(self, bert: Path, text: str, licence: str | None) -> None:
        (bert / "README.md").write_bytes(text.encode())
        assert load(bert).licence == licence

    def test_no_card(self, bert: Path) -> None:
        assert load(bert).licence is None

    def test_name(self, make: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
        folder = make(name="all-tiny-v2")
        assert load(folder).name == "all-tiny-v2"
        monkeypatch.chdir(folder)
        assert load(".").name == "all-tiny-v2"

    @pytest.mark.parametrize(
        ("origin", "name"), [("org/tiny-v3/", "tiny-v3"), ("tiny", "tiny"), ("", "model"), (None, "model")]
    )
    def test_name_of_a_folder_called_model(
        self, make: Callable[..., Path], origin: str | None, name: str
    ) -> None:
        folder = make(name="model")
        edit(folder / "config.json", _name_or_path=origin)
        assert load(folder).name == name

    def test_name_in_the_cache_of_hugging_face(self, make: Callable[..., Path], tmp_path: Path) -> None:
        target = tmp_path / "models--org--tiny-v4" / "snapshots" / "0123abc"
        target.parent.mkdir(parents=True)
        make().rename(target)
        assert load(target).name == "tiny-v4"


@pytest.mark.parametrize("more", ["", '"precompiled_charsmap": "", '])
def test_a_number_that_python_does_not_read(more: str, tmp_path: Path) -> None:
    """What is looked at before the library does is not what refuses the file, of 5,000 digits either."""
    path = tmp_path / "tokenizer.json"
    path.write_text('{"version": "1.0", ' + more + '"normalizer": null, "truncation": ' + "9" * 5000 + "}")
    with pytest.raises(CheckpointError, match="is not a tokenizer that can be read"):
        read_tokenizer(path)


@pytest.mark.parametrize("name", ["precompiled_charsmap", "precompiled_char\\u0073map"])
def test_a_table_that_says_to_be_larger_than_it_is(name: str, tmp_path: Path) -> None:
    """The library would take memory for all of it, and end the process where there is none."""
    path = tmp_path / "tokenizer.json"
    path.write_text(
        '{"version": "1.0", "added_tokens": [], "normalizer": {"type": "Precompiled", "' + name + '": "'
        + "/" * 64 + '"}, "model": {"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "a"}}'
    )  # fmt: skip
    with pytest.raises(
        CheckpointError, match="precompiled_charsmap has 48 bytes, and says that its trie has"
    ):
        read_tokenizer(path)


@pytest.mark.parametrize(
    "steps, refused",
    [
        ([{"type": "Replace", "pattern": {"Regex": "."}, "content": "x" * 200}] * 2, True),
        ([{"type": "Prepend", "prepend": "x" * 200}, {"type": "Sequence", "normalizers": [
            {"type": "Replace", "pattern": {"Regex": "."}, "content": "x" * 99}]}], True),
        ([{"type": "NFKD"}, {"type": "NFKC"}, {"type": "NFKD"}, {"type": "NFKC"}], True),
        ([{"type": "Precompiled", "precompiled_charsmap": b64encode(bytes(4) + b"x" * 200 + bytes(1)).decode()}] * 2,
            True),
        ([{"type": "Replace", "pattern": {"String": "a"}, "content": "x" * 200}], False),
        ([{"type": "Replace", "pattern": {"String": "``"}, "content": '"'}] * 40, False),
        ([{"type": "NFKC"}, {"type": "Lowercase"}, {"type": "Prepend", "prepend": "_"}], False),
    ],
)  # fmt: skip
def test_a_normalizer_that_multiplies_a_text(
    steps: list[dict[str, object]], refused: bool, tmp_path: Path
) -> None:
    """The library runs it on added tokens as it reads the file, and ends the process where memory does."""
    path = tmp_path / "tokenizer.json"
    document = {
        "version": "1.0",
        "added_tokens": [],
        "normalizer": {"type": "Sequence", "normalizers": steps},
        "model": {"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "a"},
    }
    path.write_text(json.dumps(document))
    if not refused:
        assert read_tokenizer(path).get_vocab_size() == 1
        return
    with pytest.raises(UnsupportedCheckpointError, match="makes more than 16384 characters of one, step by"):
        read_tokenizer(path)


@pytest.mark.parametrize(
    "name",
    ["modules.json", "config_sentence_transformers.json", "sentence_bert_config.json", "added_tokens.json"],
)
def test_a_file_that_is_there_by_name_alone(sentence_bert: Path, name: str) -> None:
    """As in a hub's cache whose blob was never fetched: without modules.json it would be another model."""
    (sentence_bert / name).unlink(missing_ok=True)
    (sentence_bert / name).symlink_to("../../blobs/nowhere")
    assert f"{name} is a link that leads nowhere; fetch the folder again" in refused(
        sentence_bert, CheckpointError
    )


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with a name")
@pytest.mark.parametrize(
    "name", ["1_Pooling/config.json", "tokenizer_config.json", "config_sentence_transformers.json"]
)
def test_a_pipe_is_not_waited_for(sentence_bert: Path, name: str) -> None:
    (sentence_bert / name).unlink(missing_ok=True)
    os.mkfifo(sentence_bert / name)
    assert f"{name} is no file; fetch the folder again" in refused(sentence_bert, CheckpointError)


@pytest.mark.parametrize("listed", [{}, {"a": ""}, {"a": "x" * 300}, {"a": 5}, None], ids=repr)
def test_an_index_without_files(bert: Path, listed: object) -> None:
    (bert / "model.safetensors").unlink()
    write_json(bert / "model.safetensors.index.json", {"weight_map": listed})
    assert "weight_map must map every tensor to its file" in refused(bert, CheckpointError)

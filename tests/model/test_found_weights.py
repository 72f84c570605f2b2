"""Where the weights of an encoder stand in a checkpoint, what else stands there, and what is wrong with them."""

from __future__ import annotations

import json
import weakref
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from sestina_model._errors import CheckpointError
from sestina_model._weights import build_encoder, read_tensors
from sestina_model.encoder import TransformerEncoder
from sestina_model.pretrained import weights
from sestina_model.pretrained.families import Architecture, read_architecture
from sestina_model.pretrained.weights import read_encoder

transformers = pytest.importorskip("transformers")


SIZES = {"vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
SIZES |= {"intermediate_size": 24, "pad_token_id": 0, "max_position_embeddings": 30}
GROUPED = {"num_key_value_heads": 1, "head_dim": 8}


def model_of(name: str, **config: Any) -> Any:
    torch.manual_seed(3)
    made = getattr(transformers, f"{name}Config")(
        **SIZES, **(GROUPED if name in ("Qwen3", "Gemma3Text") else {}), **config
    )
    model = getattr(transformers, f"{name}Model")(made).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


def saved(folder: Path, model: Any, tensors: dict[str, torch.Tensor] | None = None) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(model.config.to_dict()))
    state = model.state_dict() if tensors is None else tensors
    save_file(
        {name: tensor.clone().contiguous() for name, tensor in state.items()}, folder / "model.safetensors"
    )
    return folder


def architecture_of(folder: Path) -> Architecture:
    origin = folder / "config.json"
    return read_architecture(json.loads(origin.read_text("utf-8")), origin)


def read(folder: Path) -> tuple[TransformerEncoder, tuple[str, ...]]:
    return read_encoder([folder / "model.safetensors"], architecture_of(folder))


def refused(folder: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        read(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


IDS = torch.arange(3, 12)[None]


def agree(encoder: TransformerEncoder, model: Any) -> bool:
    with torch.inference_mode():
        theirs = model(input_ids=IDS, attention_mask=torch.ones_like(IDS)).last_hidden_state
        return bool((encoder(IDS) - theirs).abs().max() < 1e-5 * theirs.abs().max())


PREFIXES = ("", "model.", "module.", "0.auto_model.", "bert.", "module.student.encoder.", "a.encoder.layer.")


FAMILIES = ("ModernBert", "Qwen3", "NomicBert", "Gte", "JinaEmbeddingsV3")


@pytest.mark.parametrize(
    ("family", "prefix"),
    [*(("Bert", prefix) for prefix in PREFIXES), *((family, "module.model.") for family in FAMILIES)],
)
def test_prefixes_are_found(tmp_path: Path, family: str, prefix: str) -> None:
    model = model_of(family)
    state = {prefix + name: tensor for name, tensor in model.state_dict().items()}
    encoder, _ = read(saved(tmp_path / "m", model, state))
    assert agree(encoder, model)


def test_names_of_a_model_with_a_head(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = transformers.T5ForConditionalGeneration(
        transformers.T5Config(vocab_size=40, d_model=16, d_kv=8, d_ff=24, num_layers=2, num_heads=2)
    ).eval()
    model.save_pretrained(tmp_path)
    encoder, notes = read(tmp_path)
    assert agree(encoder, model.encoder)
    assert len(notes) == 1
    assert "decoder.block.0" in notes[0]
    own = dict(model.encoder.state_dict(prefix="encoder."))
    encoder, notes = read(saved(tmp_path / "alone", model, own))
    assert agree(encoder, model.encoder)
    assert notes == ()


@pytest.mark.parametrize("family", ["T5", "MT5", "UMT5"])
def test_gates_that_the_configuration_does_not_have(tmp_path: Path, family: str) -> None:
    """Half of their weights were read as an encoder's without gates; transformers draws new ones."""
    small = {"vocab_size": 40, "d_model": 16, "d_kv": 8, "d_ff": 24, "num_layers": 2, "num_heads": 2}
    made = getattr(transformers, f"{family}Config")(**small, feed_forward_proj="gated-gelu")
    folder = saved(tmp_path / "m", getattr(transformers, f"{family}EncoderModel")(made).eval())
    read(folder)
    config = json.loads((folder / "config.json").read_text())
    for change in ({"is_gated_act": False}, {"is_gated_act": None}):
        (folder / "config.json").write_text(json.dumps(config | change))
        assert "missing: encoder.block.0.layer.1.DenseReluDense.wi.weight" in refused(folder)
    plain = {name: value for name, value in config.items() if name not in ("is_gated_act", "dense_act_fn")}
    (folder / "config.json").write_text(json.dumps(plain | {"feed_forward_proj": "relu"}))
    assert "missing: encoder.block.0.layer.1.DenseReluDense.wi.weight" in refused(folder)


@pytest.mark.parametrize("family", ["NomicBert", "Gte", "JinaEmbeddingsV3"])
def test_names_of_a_familys_own_code(tmp_path: Path, family: str) -> None:
    """As transformers writes them back for it; read beside those of its own modules, above."""
    model = model_of(family)
    model.save_pretrained(tmp_path)
    names = load_file(tmp_path / "model.safetensors").keys()
    assert any("Wqkv" in name or "qkv_proj" in name for name in names) or family == "Gte"
    encoder, _ = read(tmp_path)
    assert agree(encoder, model)


def test_gtes_own_names(tmp_path: Path) -> None:
    model = model_of("Gte")
    state = model.state_dict()
    own = {name: tensor for name, tensor in state.items() if name.startswith("embeddings.")}
    for layer in range(2):
        for kind in ("weight", "bias"):
            maps = [state[f"layers.{layer}.self_attn.{each}_proj.{kind}"] for each in "qkv"]
            own[f"encoder.layer.{layer}.attention.qkv_proj.{kind}"] = torch.cat(maps)
            own[f"encoder.layer.{layer}.attention.o_proj.{kind}"] = state[
                f"layers.{layer}.self_attn.o_proj.{kind}"
            ]
            own[f"encoder.layer.{layer}.mlp.down_proj.{kind}"] = state[f"layers.{layer}.mlp.down_proj.{kind}"]
            for ours, theirs in (("attn_ln", "post_attention_layernorm"), ("mlp_ln", "post_mlp_layernorm")):
                own[f"encoder.layer.{layer}.{ours}.{kind}"] = state[f"layers.{layer}.{theirs}.{kind}"]
        inner = [state[f"layers.{layer}.mlp.{each}_proj.weight"] for each in ("up", "gate")]
        own[f"encoder.layer.{layer}.mlp.up_gate_proj.weight"] = torch.cat(inner)
    own = {f"new.{name}": tensor for name, tensor in own.items()}
    encoder, notes = read(saved(tmp_path / "m", model, own))
    assert agree(encoder, model)
    assert notes == ()


def test_what_is_left_out_is_told(tmp_path: Path) -> None:
    model = model_of("Bert")
    beside = {
        "pooler.extra.weight": torch.zeros(3),
        "embeddings.position_ids": torch.arange(30)[None],  # of a type that no weight may have
        "cls.predictions.bias": torch.full((40,), torch.nan),
        "encoder.layer.7.output.dense.weight": torch.zeros(2),
        "encoder.layer.1.output.dense.scale": torch.zeros(2),
    }
    folder = saved(tmp_path / "m", model, model.state_dict() | beside)
    encoder, notes = read(folder)
    assert agree(encoder, model)
    assert notes == (
        f"{folder}: 7 tensors are no part of the encoder and left out: "
        + ", ".join(
            (
                "encoder.layer.1.output.dense.scale",
                "cls.predictions.bias",
                "embeddings.position_ids",
                "encoder.layer.7.output.dense.weight",
                "pooler.dense.bias",
                "pooler.dense.weight and 1 more",
            )
        ),
    )


@pytest.mark.parametrize(
    "name", ["bert.embeddings.word_embeddings.weight", "teacher.encoder.layer.1.output.dense.bias"]
)
def test_weights_that_could_be_read_twice(tmp_path: Path, name: str) -> None:
    model = model_of("Bert")
    folder = saved(tmp_path / "m", model, {**model.state_dict(), name: torch.zeros(3)})
    prefix, _, rest = name.partition(".")
    assert refused(folder) == (
        f"{folder}: {rest} is there twice, under '' and under '{prefix}.'; keep the weights of one encoder"
    )


def test_a_norm_of_a_head_is_no_second_encoder(tmp_path: Path) -> None:
    model = model_of("Qwen3")
    _, notes = read(
        saved(tmp_path / "m", model, {**model.state_dict(), "embedder.norm.weight": torch.zeros(3)})
    )
    assert "embedder.norm.weight" in notes[0]


def test_all_that_is_missing_or_misshapen_at_once(tmp_path: Path) -> None:
    model = model_of("ModernBert")
    state = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    del state["model.final_norm.weight"]
    state["model.layers.1.attn.Wqkv.weight"] = torch.zeros(47, 16)
    folder = saved(tmp_path / "m", model, state)
    assert refused(folder) == (
        f"{folder}: the weights do not fit the configuration; missing: final_norm.weight; misshapen: "
        "layers.1.attn.Wqkv.weight [47, 16] instead of [48, 16]"
    )


def test_weights_of_something_else(tmp_path: Path) -> None:
    model = model_of("Bert")
    folder = saved(tmp_path / "m", model, {"conv1.weight": torch.zeros(3)})
    assert "none of 36 is there, such as embeddings.LayerNorm.bias: check model_type" in refused(folder)


def test_a_norm_of_one_plus_weight_is_read_as_their_sum(tmp_path: Path) -> None:
    model = model_of("Gemma3Text")
    encoder, _ = read(saved(tmp_path / "m", model))
    assert torch.equal(encoder.final_norm.weight, model.state_dict()["norm.weight"] + 1.0)  # type: ignore[union-attr]


def test_matrices_that_are_stored_as_one_are_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once they fall into ours: of a large encoder a second copy of its weights is gigabytes."""
    folder = saved(tmp_path / "it", model_of("ModernBert"))
    fused, alive = list[weakref.ref[torch.Tensor]](), list[bool]()

    def reading(*args: Any, **options: Any) -> dict[str, torch.Tensor]:
        tensors = read_tensors(*args, **options)
        fused.extend(weakref.ref(each) for name, each in tensors.items() if "Wqkv" in name or "Wi" in name)
        return tensors

    def building(*args: Any) -> TransformerEncoder:
        alive.extend(each() is not None for each in fused)
        return build_encoder(*args)

    monkeypatch.setattr(weights, "read_tensors", reading)
    monkeypatch.setattr(weights, "build_encoder", building)
    read(folder)
    assert alive == [False] * 4


@pytest.mark.parametrize("changed", ["encoder.embed_tokens.weight", "decoder.embed_tokens.weight"])
def test_a_table_of_the_encoders_own(changed: str, tmp_path: Path) -> None:
    """T5's tables are one, unless a checkpoint has several that differ; transformers then ties none."""
    torch.manual_seed(3)
    model = transformers.T5EncoderModel(
        transformers.T5Config(vocab_size=40, d_model=16, d_kv=8, d_ff=24, num_layers=2, num_heads=2)
    )
    folder = saved(tmp_path, model.eval())
    state = load_file(folder / "model.safetensors")
    assert "shared.weight" in state
    state[changed] = torch.randn_like(state["shared.weight"])
    save_file(state, folder / "model.safetensors", {"format": "pt"})
    theirs = transformers.T5EncoderModel.from_pretrained(folder).eval()
    assert agree(read(folder)[0], theirs)
    assert agree(read(folder)[0], model) is (changed.startswith("decoder"))


def test_half_a_window_by_its_other_name(tmp_path: Path) -> None:
    """What transformers' configuration sets once it is read, and so over local_attention."""
    model = model_of("ModernBert", local_attention=10)
    folder = saved(tmp_path, model)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"sliding_window": 1}))
    theirs = transformers.ModernBertModel.from_pretrained(folder).eval()
    assert theirs.config.local_attention == 2
    assert agree(read(folder)[0], theirs)
    assert not agree(read(folder)[0], model)

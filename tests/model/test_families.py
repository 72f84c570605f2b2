"""Every family, layer by layer as transformers computes it, on tiny seeded models of several shapes.

A model is saved by transformers and read back by our own reader: config.json and names take part too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from sestina_model.encoder import TransformerEncoder
from sestina_model.pretrained.families import FAMILIES, read_architecture
from sestina_model.pretrained.weights import read_encoder

transformers = pytest.importorskip("transformers")


BERT = {
    "vocab_size": 90,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "pad_token_id": 0,
}
LONG = {"max_position_embeddings": 200}
LLAMA = {**BERT, **LONG, "num_key_value_heads": 2, "head_dim": 12}
T5 = {"vocab_size": 90, "d_model": 32, "d_kv": 6, "d_ff": 48, "num_layers": 2, "num_heads": 4}
DEBERTA = {**BERT, "max_position_embeddings": 64, "relative_attention": True, "layer_norm_eps": 1e-7}
YARN = {"rope_type": "yarn", "rope_theta": 100.0, "factor": 4.0, "original_max_position_embeddings": 50}
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 500.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 60,
}


@dataclass(frozen=True)
class Case:
    """A model of transformers, lengths to try it at, and a choice that makes another of it."""

    name: str
    model: str
    config: Mapping[str, Any]
    other: Mapping[str, Any] = field(default_factory=lambda: {"layer_norm_eps": 1e-2})
    lengths: tuple[int, ...] = (1, 2, 7, 33)


def case(model: str, config: Mapping[str, Any], name: str = "", **more: Any) -> Any:
    made = Case(f"{model}{'-' if name else ''}{name}", model, config, **more)
    return pytest.param(made, id=made.name)


FAR = (1, 2, 7, 33, 150)
CASES = [
    case("Bert", BERT),
    case("Bert", BERT | {"hidden_act": "gelu_new"}, "gelu_new", other={"activation": "silu"}),
    case("DistilBert", {"vocab_size": 90, "dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 48}),
    case("Roberta", BERT | {"pad_token_id": 1}),
    case("XLMRoberta", BERT | {"pad_token_id": 1, "type_vocab_size": 1}),
    case("Camembert", BERT | {"pad_token_id": 1}),
    case("MPNet", BERT | LONG | {"pad_token_id": 1}, other={"relative_distance": 100}, lengths=FAR),
    case("Electra", BERT | {"embedding_size": 20}),
    case("Electra", BERT | {"embedding_size": 32}, "even"),
    case("Albert", BERT | {"embedding_size": 20}),
    case(
        "Albert",
        BERT | {"embedding_size": 32, "num_hidden_layers": 5, "num_hidden_groups": 2, "inner_group_num": 2},
        "groups",
        other={"shared_layers": (0, 1, 0, 1, 2, 3, 2, 3, 2, 3)},
    ),
    case(
        "DebertaV2",
        DEBERTA | {"position_biased_input": False, "share_att_key": True, "pos_att_type": ["p2c", "c2p"]}
        | {"position_buckets": 8, "norm_rel_ebd": "layer_norm", "max_relative_positions": -1},
        "v3",
        other={"relative_terms": ("content_to_position",)},
        lengths=FAR,
    ),
    case(
        "DebertaV2",
        DEBERTA | {"pos_att_type": "c2p|p2c", "type_vocab_size": 2, "embedding_size": 20},
        "own-maps",
        other={"attention_scale": 0.3},
    ),
    case("DebertaV2", DEBERTA | {"pos_att_type": ["c2p"]}, "c2p", other={"attention_scale": 0.3}),
    case(
        "DebertaV2",
        DEBERTA | {"pos_att_type": ["p2c"], "max_relative_positions": 9, "position_biased_input": False},
        "p2c",
        lengths=FAR,
    ),
    case("DebertaV2", DEBERTA | {"relative_attention": False, "pos_att_type": ["c2p"]}, "absolute"),
    case(
        "ModernBert",
        BERT | LONG | {"num_hidden_layers": 4, "local_attention": 10},
        other={"window": 4},
        lengths=FAR,
    ),
    case(
        "ModernBert",
        BERT | LONG | {"num_hidden_layers": 3, "local_attention": 7, "attention_bias": True}
        | {"mlp_bias": True, "norm_bias": True, "hidden_activation": "silu"}
        | {"layer_types": ["sliding_attention", "full_attention", "sliding_attention"]}
        | {"rope_parameters": {"full_attention": {"rope_type": "default", "rope_theta": 77.0}}},
        "biased",
        other={"local_rotary": None},
    ),
    case("NomicBert", BERT | LONG, other={"gated": True, "activation": "gelu"}, lengths=FAR),
    case("NomicBert", BERT | {"max_position_embeddings": 20, "head_dim": 12}, "wide", lengths=(1, 19, 20)),
    case("Gte", BERT | LONG | {"type_vocab_size": 0}, lengths=FAR),
    case(
        "Gte",
        BERT | LONG | {"rope_parameters": {"rope_type": "linear", "rope_theta": 50.0, "factor": 3.0}},
        "linear",
        lengths=FAR,
    ),
    case("Gte", BERT | LONG | {"rope_parameters": YARN, "head_dim": 8}, "yarn", lengths=FAR),
    case(
        "Gte",
        BERT | LONG | {"rope_parameters": {"rope_type": "dynamic", "rope_theta": 50.0, "factor": 8.0}},
        "dynamic",
        lengths=(1, 200),
    ),
    case("JinaEmbeddingsV3", BERT | LONG | {"type_vocab_size": 1, "pad_token_id": 1}, lengths=FAR),
    case("EuroBert", LLAMA, lengths=FAR, other={"causal": True}),
    case(
        "EuroBert",
        LLAMA | {"head_dim": None, "num_key_value_heads": None, "attention_bias": True, "mlp_bias": True}
        | {"rope_parameters": LLAMA3},
        "llama3",
        lengths=FAR,
    ),
    case("Qwen3", LLAMA, lengths=FAR, other={"causal": False}),
    case(
        "Qwen3",
        LLAMA | {"use_sliding_window": True, "sliding_window": 5, "max_window_layers": 1}
        | {"attention_bias": True, "rope_parameters": YARN | {"attention_factor": 1.3, "truncate": False}},
        "sliding",
        lengths=FAR,
        other={"window": 5},
    ),
    case(
        "Gemma3Text",
        LLAMA | {"use_bidirectional_attention": True, "sliding_window": 8, "sliding_window_pattern": 2}
        | {"num_hidden_layers": 4, "query_pre_attn_scalar": 20},
        "both-ways",
        lengths=FAR,
        other={"window": 3},
    ),
    case(
        "Gemma3Text",
        LLAMA | {"sliding_window": 7, "layer_types": ["sliding_attention", "full_attention"]}
        | {"attention_bias": True},
        "causal",
        lengths=FAR,
        other={"window": 7},
    ),
    case("T5Encoder", T5, lengths=FAR, other={"attention_scale": 1.1}),
    case(
        "T5Encoder",
        T5 | {"feed_forward_proj": "gated-gelu", "relative_attention_num_buckets": 8}
        | {"relative_attention_max_distance": 20},
        "gated",
        lengths=FAR,
        other={"relative_distance": 10},
    ),
    case(
        "T5Encoder",
        T5 | {"feed_forward_proj": "gated-gelu", "dense_act_fn": "silu"},
        "function-of-its-own",
        other={"activation": "gelu_tanh"},
    ),
    case("T5Encoder", T5 | {"feed_forward_proj": "gated-silu"}, "gated-silu", other={"activation": "gelu"}),
    case("MT5Encoder", T5, lengths=FAR),
    case("UMT5Encoder", T5, lengths=FAR, other={"relative_distance": 100}),
]  # fmt: skip
MODELS = {"T5Encoder": "T5Config", "MT5Encoder": "MT5Config", "UMT5Encoder": "UMT5Config"}


def made(given: Case) -> Any:
    """The model of a case; its weights are large enough for each of them to matter."""
    torch.manual_seed(len(given.name))
    config = getattr(transformers, MODELS.get(given.model, f"{given.model}Config"))(**given.config)
    for key in ("position_buckets", "norm_rel_ebd", "share_att_key", "embedding_size", "head_dim"):
        if key in given.config and given.config[key] is not None:
            setattr(config, key, given.config[key])  # read by the model, and declared by no configuration
    model = getattr(transformers, f"{given.model}Model")(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * (0.1 if parameter.dim() > 1 else 0.2))
    return model


@pytest.fixture(scope="module", params=CASES)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, ...]:
    """A case, its model, the folder that it was saved to, and what we read of it."""
    given = request.param
    folder = tmp_path_factory.mktemp("family")
    model = made(given)
    model.save_pretrained(folder)
    return given, model, folder, read(folder, given.lengths[-1])


def read(folder: Path, longest: int | None = None) -> TransformerEncoder:
    origin = folder / "config.json"
    architecture = read_architecture(json.loads(origin.read_text("utf-8")), origin).reaching(longest)
    return read_encoder([folder / "model.safetensors"], architecture)[0]


def ids_of(length: int, batch: int = 1) -> Tensor:
    return torch.randint(2, 90, (batch, length), generator=torch.Generator().manual_seed(length))


def theirs(model: Any, ids: Tensor, mask: Tensor | None = None) -> Tensor:
    mask = torch.ones_like(ids) if mask is None else mask.long()
    with torch.inference_mode():
        hidden: Tensor = model(input_ids=ids, attention_mask=mask).last_hidden_state
    return hidden


def difference(ours: Tensor, reference: Tensor) -> float:
    """The largest, relative to the largest value."""
    return float((ours - reference).abs().max() / reference.abs().max())


def test_hidden_states(pair: tuple[Any, ...]) -> None:
    given, model, _, encoder = pair
    for length in given.lengths:
        ids = ids_of(length)
        with torch.inference_mode():
            assert difference(encoder(ids), theirs(model, ids)) < 1e-5, length


def test_hidden_states_of_a_padded_batch(pair: tuple[Any, ...]) -> None:
    given, model, _, encoder = pair
    longest = given.lengths[-1]
    lengths = [longest, 1, (longest + 1) // 2]
    ids = ids_of(longest, 3)
    mask = torch.arange(longest) < torch.tensor(lengths)[:, None]
    ids = ids.masked_fill(~mask, encoder.config.pad_id)
    reference = theirs(model, ids, mask)
    with torch.inference_mode():
        hidden = encoder(ids, mask)
        for row, length in enumerate(lengths):
            assert difference(hidden[row, :length], reference[row, :length]) < 1e-5
            alone = encoder(ids[row : row + 1, :length])[0]
            assert difference(hidden[row, :length], alone) < 1e-5


def test_another_choice_is_another_model(pair: tuple[Any, ...]) -> None:
    given, model, _, encoder = pair
    other = TransformerEncoder(replace(encoder.config, **given.other)).eval()
    other.load_state_dict(encoder.state_dict(), strict=False)
    ids = ids_of(given.lengths[-1])
    with torch.inference_mode():
        assert difference(other(ids), theirs(model, ids)) > 1e-4


def test_every_weight_takes_part(pair: tuple[Any, ...]) -> None:
    given, model, _, encoder = pair
    ids = ids_of(min(given.lengths[-1], 33))
    reference = theirs(model, ids)
    for name, parameter in encoder.named_parameters():
        if name.endswith(("attention.key.bias", "position_key.bias")):
            continue  # the same for all keys of a query: softmax does not see it
        kept = parameter.data.clone()
        try:
            parameter.data += 0.05 * torch.randn(kept.shape, generator=torch.Generator().manual_seed(0))
            with torch.inference_mode():
                assert difference(encoder(ids), reference) > 2e-5, name
        finally:
            parameter.data = kept


def test_attention_weights(pair: tuple[Any, ...]) -> None:
    given, model, _, encoder = pair
    ids = ids_of(given.lengths[-1])
    model.set_attn_implementation("eager")
    with torch.inference_mode():
        told = model(input_ids=ids, attention_mask=torch.ones_like(ids), output_attentions=True).attentions
    ours = encoder.attention_weights(ids)
    assert len(ours) == encoder.config.n_layers
    if given.model == "Albert" and given.config.get("inner_group_num", 1) > 1:
        assert len(told) == len(ours)
    for layer, reference in zip(ours, told, strict=True):
        assert float((layer - reference).abs().max()) < 1e-5


def test_all_families_are_here() -> None:
    covered = {getattr(transformers, MODELS.get(each.values[0].model, f"{each.values[0].model}Config"))
               .model_type for each in CASES}  # fmt: skip
    assert covered == set(FAMILIES)

"""What a config.json of a newer family may say: what is read, and what is refused by its name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from sestina_model._errors import CheckpointError, UnsupportedCheckpointError
from sestina_model.config import EncoderConfig
from sestina_model.pretrained.families import FAMILIES, Architecture, read_architecture
from sestina_model.rotary_config import RotaryConfig

ORIGIN = Path("folder", "config.json")
SMALL = {
    "vocab_size": 90,
    "hidden_size": 32,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "pad_token_id": 0,
    "head_dim": 8,
    "num_key_value_heads": 2,
    "max_position_embeddings": 100,
}
T5 = {"vocab_size": 90, "d_model": 32, "num_layers": 2, "num_heads": 4, "d_kv": 8, "d_ff": 48}


def architecture(family: str, **changes: Any) -> Architecture:
    return read_architecture({"model_type": family, **(T5 if "t5" in family else SMALL), **changes}, ORIGIN)


def config(family: str, **changes: Any) -> EncoderConfig:
    return architecture(family, **changes).config


def refused(family: str, kind: type[CheckpointError], changes: Mapping[str, Any]) -> str:
    with pytest.raises(kind) as caught:
        config(family, **changes)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"{ORIGIN}: ")
    return message.removeprefix(f"{ORIGIN}: ")


YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 25}


@pytest.mark.parametrize(
    ("family", "changes", "message"),
    [
        (
            "mpnet",
            {"relative_attention_num_buckets": 64},
            "relative_attention_num_buckets 64 is not supported",
        ),
        (
            "electra",
            {"position_embedding_type": "relative_key"},
            "position_embedding_type 'relative_key' is not",
        ),
        (
            "albert",
            {"auto_map": {"AutoModel": "m.M"}},
            "auto_map {'AutoModel': 'm.M'} is not supported; code",
        ),
        ("camembert", {"is_decoder": True}, "is_decoder True is not supported; only False is"),
        ("deberta-v2", {"conv_kernel_size": 3}, "conv_kernel_size 3 is not supported; only 0 is"),
        ("deberta-v2", {"attention_head_size": 4}, "attention_head_size 4 is not supported; only 8 is"),
        (
            "deberta-v2",
            {"relative_attention": True, "pos_att_type": ["p2p"]},
            "pos_att_type ['p2p'] is not supported; some of c2p, p2c are",
        ),
        (
            "deberta-v2",
            {"relative_attention": True, "pos_att_type": "c2p", "norm_rel_ebd": "batch_norm"},
            "norm_rel_ebd 'batch_norm' is not supported; 'none' and 'layer_norm' are",
        ),
        (
            "nomic_bert",
            {"activation_function": "gelu"},
            "activation_function 'gelu' is not supported; only 'swiglu'",
        ),
        ("nomic_bert", {"rotary_emb_interleaved": True}, "rotary_emb_interleaved True is not supported"),
        ("nomic_bert", {"rotary_emb_base": 10000}, "rotary_emb_base 10000 is not supported; only 1000 is"),
        ("nomic_bert", {"prenorm": True}, "prenorm True is not supported; only False is"),
        ("nomic_bert", {"num_experts": 8}, "num_experts 8 is not supported; only 0 is"),
        ("gte", {"logn_attention_scale": True}, "logn_attention_scale True is not supported; only False is"),
        (
            "gte",
            {"rope_scaling": {"type": "ntk", "factor": 8.0}},
            "rope_scaling.rope_type 'ntk' is not supported; default, dynamic, linear, yarn, llama3 are",
        ),
        ("gte", {"partial_rotary_factor": 0.5}, "partial_rotary_factor 0.5 is not supported; only 1 is"),
        (
            "gte",
            {"rope_parameters": {"rope_type": "longrope", "short_factor": [1], "long_factor": [1]}},
            "rope_parameters.rope_type 'longrope' is not supported",
        ),
        (
            "qwen3",
            {"rope_parameters": {"partial_rotary_factor": 0.5}},
            "rope_parameters.partial_rotary_factor 0.5 is not supported; only 1 is",
        ),
        (
            "qwen3",
            {"rope_parameters": {"full_attention": {"rope_theta": 5.0}}},
            "rope_parameters.full_attention {'rope_theta': 5.0} is not supported; this family's layers all",
        ),
        (
            "qwen3",
            {"rope_parameters": YARN, "original_max_position_embeddings": 7},
            "original_max_position_embeddings 7 is not supported; state it in rope_parameters",
        ),
        ("qwen3", {"auto_map": {"AutoModel": "m.M"}}, "auto_map {'AutoModel': 'm.M'} is not supported"),
        (
            "qwen3",
            {"layer_types": ["sliding_attention"] * 4},
            "layer_types ['sliding_attention', 'sliding_attention', 'sliding_attentio is not supported; a sliding",
        ),
        ("gemma3_text", {"attn_logit_softcapping": 50.0}, "attn_logit_softcapping 50.0 is not supported"),
        ("t5", {"is_decoder": True}, "is_decoder True is not supported"),
        ("t5", {"dense_act_fn": "prelu"}, "dense_act_fn 'prelu' is not supported; gelu, "),
        ("t5", {"feed_forward_proj": "gated-prelu"}, "feed_forward_proj 'prelu' is not supported; gelu, "),
        ("eurobert", {"hidden_act": "xielu"}, "hidden_act 'xielu' is not supported; gelu, "),
        (
            "modernbert",
            {"quantization_config": {"bits": 8}},
            "quantization_config {'bits': 8} is not supported",
        ),
    ],
)
def test_what_is_not_carried(family: str, changes: Mapping[str, Any], message: str) -> None:
    assert refused(family, UnsupportedCheckpointError, changes).startswith(message)


@pytest.mark.parametrize(
    ("family", "changes", "message"),
    [
        (
            "modernbert",
            {"local_attention": "128"},
            "local_attention is '128'; it must be a whole number of at least 2",
        ),
        ("modernbert", {"attention_bias": "no"}, "attention_bias is 'no'; it must be true or false"),
        (
            "modernbert",
            {"layer_types": ["full_attention", "chunked_attention"] * 2},
            "layer_types is ['full_attention', 'chunked_attention', 'full_attention', 'c; it must be a list of ",
        ),
        (
            "modernbert",
            {"layer_types": ["full_attention"]},
            "layer_types is ['full_attention']; it must be a list",
        ),
        ("modernbert", {"rope_parameters": [1]}, "rope_parameters is [1]; it must be an object"),
        ("gte", {"rope_theta": 0}, "rope_parameters.rope_theta is 0; it must be a number above 1"),
        (
            "gte",
            {"rope_parameters": {"rope_type": "linear"}},
            "rope_parameters.factor is None; it must be a number above 0",
        ),
        (
            "gte",
            {"rope_parameters": YARN | {"beta_fast": 1, "beta_slow": 2}},
            "rope_parameters is {'rope_theta': 160000.0, 'rope_type': 'yarn', 'factor': 4.0,; it must be sound: ",
        ),
        (
            "qwen3",
            {"num_key_value_heads": 3},
            "n_heads is 4; it must be a multiple of n_kv_heads, which is 3 (n_heads ",
        ),
        (
            "qwen3",
            {"head_dim": 7},
            "rotary turns 7 dimensions of a head; it must be an even number of at most 7",
        ),
        (
            "gemma3_text",
            {"query_pre_attn_scalar": 0},
            "query_pre_attn_scalar is 0; it must be a number above 0",
        ),
        (
            "gemma3_text",
            {"sliding_window": None},
            "sliding_window is None; it must be a whole number of at least 1",
        ),
        (
            "gemma3_text",
            {"use_bidirectional_attention": "all"},
            "use_bidirectional_attention is 'all'; it must be true",
        ),
        (
            "albert",
            {"num_hidden_groups": 5},
            "num_hidden_groups is 5; it must be at most num_hidden_layers, which is 4",
        ),
        ("t5", {"d_kv": None}, "d_kv is None; it must be a whole number of at least 1"),
        ("electra", {"embedding_size": -1}, "embedding_size is -1; it must be a whole number of at least 1"),
        (
            "t5",
            {"feed_forward_proj": "a-b-c"},
            "feed_forward_proj is 'a-b-c'; it must be a function, or 'gated-'",
        ),
        (
            "t5",
            {"num_heads": 4, "num_attention_heads": 8},
            "num_heads is 4 and num_attention_heads, another name",
        ),
        ("t5", {"num_heads": float("nan")}, "n_heads is nan; it must be a whole number of at least 1"),
        ("nomic_bert", {"n_embd": 64}, "hidden_size is 32 and n_embd, another name for it, is 64; state one"),
        (
            "mpnet",
            {"hidden_size": "32"},
            "d_model is '32'; it must be a whole number of at least 1 (d_model is hidden",
        ),
        ("gte", {"type_vocab_size": -1}, "type_vocab_size is -1; it must be a whole number of at least 0"),
    ],
)
def test_what_makes_no_sense(family: str, changes: Mapping[str, Any], message: str) -> None:
    assert refused(family, CheckpointError, changes).startswith(message)


HUGE = 10**400
YARN_ALONE = {"rope_type": "yarn", "original_max_position_embeddings": 8}


@pytest.mark.parametrize(
    ("family", "changes", "named"),
    [
        ("qwen3", {"rope_theta": HUGE}, "rope_parameters.rope_theta is 1000"),
        ("qwen3", {"num_hidden_layers": 10**12}, "num_hidden_layers is 1000"),
        ("qwen3", {"max_position_embeddings": HUGE, "rope_scaling": YARN_ALONE}, "max_position_embeddings"),
        (
            "gte",
            {"rope_scaling": YARN_ALONE | {"original_max_position_embeddings": HUGE}},
            "rope_scaling.original_max_position_embeddings is 1000",
        ),
        ("deberta-v2", {"hidden_size": HUGE}, "hidden_size is 1000"),
        ("deberta-v2", {"attention_head_size": HUGE}, "attention_head_size is 1000"),
        ("deberta-v2", {"pos_att_type": [[1]]}, "pos_att_type [[1]] is not supported; some of c2p, p2c are"),
        ("albert", {"num_hidden_layers": HUGE}, "num_hidden_layers is 1000"),
        ("albert", {"num_hidden_layers": 10**12}, "num_hidden_layers is 1000"),
        ("albert", {"inner_group_num": 10**12}, "inner_group_num is 1000"),
        ("modernbert", {"num_hidden_layers": 10**12}, "num_hidden_layers is 1000"),
        ("gemma3_text", {"num_hidden_layers": 10**12}, "num_hidden_layers is 1000"),
    ],
)
def test_numbers_beyond_any_encoder(family: str, changes: Mapping[str, Any], named: str) -> None:
    assert refused(family, CheckpointError, changes).startswith(named)


@pytest.mark.parametrize("family", FAMILIES)
def test_is_causal(family: str) -> None:
    """Of models that look back it is carried, of encoders only what changes nothing."""
    looks_back = family in ("qwen3", "gemma3_text")
    assert config(family, is_causal=looks_back) == config(family)
    if looks_back:
        assert not config(family, is_causal=False).causal
        message = refused(family, UnsupportedCheckpointError, {"is_causal": None})
        assert message == "is_causal None is not supported; True and False are"
        message = refused(family, CheckpointError, {"is_causal": 1})
        assert message == "is_causal is 1; it must be true or false"
    else:
        assert config(family, is_causal=None) == config(family)
        message = refused(family, UnsupportedCheckpointError, {"is_causal": True})
        assert message == "is_causal True is not supported; only False is"


INERT = {"use_cache": True, "torch_dtype": "bfloat16", "classifier_dropout": 0.1, "sparse_prediction": True}


@pytest.mark.parametrize("family", FAMILIES)
def test_what_changes_nothing_is_not_looked_at(family: str) -> None:
    assert config(family, **INERT, unheard_of=7) == config(family)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_survives_json(family: str) -> None:
    made = config(family)
    assert EncoderConfig.from_dict(made.to_dict()) == made


def test_code_of_its_own_is_passed_by_where_transformers_has_the_family() -> None:
    for family in ("nomic_bert", "gte", "eurobert"):
        assert config(family, auto_map={"AutoModel": "x--y.M"}) == config(family)


def test_names_of_nomics_own_code() -> None:
    own = {
        "model_type": "nomic_bert",
        "n_embd": 32,
        "n_layer": 4,
        "n_head": 4,
        "n_inner": 48,
        "vocab_size": 90,
    }
    own |= {"activation_function": "swiglu", "rotary_emb_base": 1000, "layer_norm_epsilon": 1e-12}
    made = read_architecture(own | {"max_position_embeddings": 100}, ORIGIN).config
    assert made == config("nomic_bert", head_dim=None)


def test_older_names_of_rotary_settings() -> None:
    old = {
        "global_rope_theta": 50.0,
        "local_rope_theta": 7.0,
        "global_attn_every_n_layers": 2,
        "local_attention": 9,
    }
    made = config("modernbert", **old)
    assert (made.rotary, made.local_rotary) == (RotaryConfig(theta=50.0), RotaryConfig(theta=7.0))
    assert (made.local_layers, made.window) == ((1, 3), 4)
    made = config(
        "gemma3_text",
        rope_theta=5e5,
        rope_local_base_freq=3e3,
        rope_scaling={"rope_type": "linear", "factor": 8},
    )
    assert made.rotary == RotaryConfig(theta=5e5, scaling="linear", factor=8.0)
    assert made.local_rotary == RotaryConfig(theta=3e3)
    # As transformers reads it: a "type" does not outrank the default that is there already.
    assert config("gemma3_text", rope_scaling={"type": "linear", "factor": 8}).rotary == RotaryConfig(
        theta=1e6
    )
    assert config("gte", rope_theta=9.0, rope_scaling={"type": "linear", "factor": 2}).rotary == RotaryConfig(
        theta=9.0, scaling="linear", factor=2.0
    )


def test_layers_of_one_kind_need_no_second_table() -> None:
    made = config("modernbert", layer_types=["full_attention"] * 4)
    assert (made.local_layers, made.window, made.local_rotary) == ((), None, None)
    made = config("modernbert", layer_types=["sliding_attention"] * 4, local_rope_theta=160000.0)
    assert (made.local_layers, made.window, made.local_rotary) == ((0, 1, 2, 3), 64, None)


def test_longer_texts_than_config_json_says() -> None:
    assert architecture("nomic_bert").reaching(8192).config.max_positions == 8192
    assert architecture("nomic_bert").reaching(50).config.max_positions == 100
    assert architecture("nomic_bert").reaching(None).config.max_positions == 100
    assert architecture("t5").config.max_positions == 512
    assert architecture("t5").reaching(2000).config.max_positions == 2000
    assert not architecture("t5").states_positions
    stated = architecture("mt5", max_position_embeddings=40)
    assert stated.states_positions  # no key of theirs: sentence-transformers cuts texts to it all the same
    assert stated.config.max_positions == 40
    assert stated.reaching(60).config.max_positions == 60
    assert architecture("t5", max_position_embeddings=-1) == architecture("t5")
    assert architecture("bert").reaching(8192).config.max_positions == 100  # its table ends there
    grown = architecture("gte", rope_parameters={"rope_type": "dynamic", "factor": 2.0})
    assert grown.reaching(100).config.max_positions == 100
    with pytest.raises(UnsupportedCheckpointError) as caught:
        grown.reaching(101)
    assert str(caught.value) == (
        f"{ORIGIN}: rope_type 'dynamic' is not supported for texts beyond 100 tokens; lower max_seq_length"
    )

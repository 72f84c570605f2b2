"""Families of Llama's shape: RMSNorm before each sublayer, gated, grouped queries, rotary positions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sestina_model.pretrained.families.bert import BERT_SETTINGS
from sestina_model.pretrained.families.family import Family, Names, Source
from sestina_model.pretrained.families.keys import Keys
from sestina_model.pretrained.families.rope import read_rotary, read_rotary_by_type
from sestina_model.pretrained.families.rotary import ATTENTION, GATED, local_choices

__all__ = ["LLAMA_LIKE"]

_SETTINGS: Mapping[str, tuple[str, object]] = {
    **BERT_SETTINGS,
    "activation": ("hidden_act", "silu"),
    "dropout": ("", 0.0),
    "layer_norm_eps": ("rms_norm_eps", 1e-5),
}
_WEIGHTS: Names = {
    "tokens": "embed_tokens",
    **ATTENTION,
    **GATED,
    "layers.{}.attention.query_norm": "layers.{}.self_attn.q_norm",
    "layers.{}.attention.key_norm": "layers.{}.self_attn.k_norm",
    "layers.{}.attention_norm": "layers.{}.input_layernorm",
    "layers.{}.feed_forward_norm": "layers.{}.post_attention_layernorm",
    "final_norm": "norm",
}
_GEMMA_WEIGHTS: Names = {
    **_WEIGHTS,
    # Their norms multiply by 1 + weight.
    "layers.{}.attention.query_norm": Source("layers.{}.self_attn.q_norm", plus=1.0),
    "layers.{}.attention.key_norm": Source("layers.{}.self_attn.k_norm", plus=1.0),
    "layers.{}.attention_norm": Source("layers.{}.input_layernorm", plus=1.0),
    "layers.{}.attention_output_norm": Source("layers.{}.post_attention_layernorm", plus=1.0),
    "layers.{}.feed_forward_norm": Source("layers.{}.pre_feedforward_layernorm", plus=1.0),
    "layers.{}.feed_forward_output_norm": Source("layers.{}.post_feedforward_layernorm", plus=1.0),
    "final_norm": Source("norm", plus=1.0),
}
_FIXED: Mapping[str, Any] = {
    "norm": "pre",
    "norm_kind": "rms",
    "positions": "rotary",
    "scale_embeddings": False,
    "gated": True,
    "feed_forward_bias": "none",
}


def _eurobert(keys: Keys) -> Mapping[str, Any]:
    return {
        "rotary": read_rotary(keys, 10_000.0),
        "n_kv_heads": keys.optional_whole("num_key_value_heads"),
        "d_k": keys.optional_whole("head_dim"),
        "attention_bias": keys.flag("attention_bias", default=False),
        "feed_forward_bias": "all" if keys.flag("mlp_bias", default=False) else "none",
    }


def _causal(keys: Keys) -> bool:
    """Whether a token attends only to what is before it, as models that write do."""
    return keys.flag("is_causal", default=True)


def _qwen3(keys: Keys) -> Mapping[str, Any]:
    n_layers = keys.layers("num_hidden_layers", 32)
    sliding = keys.flag("use_sliding_window", default=False)
    width = keys.optional_whole("sliding_window") if "sliding_window" in keys.values else 4096
    first = keys.whole("max_window_layers", 28, 0)
    local = sliding and width is not None
    kinds = keys.layer_types(
        n_layers,
        ["sliding_attention" if local and layer >= first else "full_attention" for layer in range(n_layers)],
    )
    if not local and "sliding_attention" in kinds:
        raise keys.unsupported("layer_types", kinds, "; a sliding layer needs use_sliding_window")
    rotary, causal = read_rotary(keys, 10_000.0), _causal(keys)
    return local_choices(kinds, (width or 1) - causal, rotary, rotary) | {
        "n_kv_heads": keys.optional_whole("num_key_value_heads")
        if "num_key_value_heads" in keys.values
        else 32,
        "d_k": keys.whole("head_dim", 128),
        "attention_bias": keys.flag("attention_bias", default=False),
        "causal": causal,
        "query_key_norm": True,
    }


def _gemma3(keys: Keys) -> Mapping[str, Any]:
    n_layers = keys.layers("num_hidden_layers", 26)
    every = keys.whole("sliding_window_pattern", 6)
    kinds = keys.layer_types(
        n_layers,
        ["sliding_attention" if (layer + 1) % every else "full_attention" for layer in range(n_layers)],
    )
    both, causal = keys.flag("use_bidirectional_attention", default=False), _causal(keys)
    width = 4096 if "sliding_window" not in keys.values else keys.optional_whole("sliding_window")
    if width is None:
        if "sliding_attention" in kinds:
            raise keys.wrong("sliding_window", None, "a whole number of at least 1 where a layer slides")
        width = 1
    rotary, local_rotary = read_rotary_by_type(
        keys,
        ("rope_theta", 1_000_000.0),
        ("rope_local_base_freq", 10_000.0),
        scaled=("full_attention",),
    )
    # A window of both directions is half as long in each, one that looks back counts the token itself, and
    # one that looks back made to look ahead counts those to each side: of both kinds at once, one more.
    window = (width // 2 + 1 if both else width) - causal
    return local_choices(kinds, window, rotary, local_rotary) | {
        "n_kv_heads": keys.whole("num_key_value_heads", 4),
        "d_k": keys.whole("head_dim", 256),
        "attention_bias": keys.flag("attention_bias", default=False),
        "attention_scale": keys.number("query_pre_attn_scalar", 256) ** -0.5,
        "causal": causal and not both,
        "query_key_norm": True,
    }


# null is neither there: what it makes of a text depends on the padding beside it.
_EITHER = {"is_causal": (True, False)}

LLAMA_LIKE: Mapping[str, Family] = {
    "eurobert": Family(
        tokenizer="PreTrainedTokenizerFast",
        settings={
            **_SETTINGS,
            "vocab_size": ("vocab_size", 128256),
            "max_positions": ("max_position_embeddings", 8192),
            "pad_id": ("pad_token_id", 128001),
        },
        layouts=(_WEIGHTS,),
        fixed=_FIXED,
        choices=_eurobert,
        own_code=True,
    ),
    "qwen3": Family(
        tokenizer="Qwen2Tokenizer",
        settings={
            **_SETTINGS,
            "vocab_size": ("vocab_size", 151936),
            "n_layers": ("num_hidden_layers", 32),
            "d_model": ("hidden_size", 4096),
            "n_heads": ("num_attention_heads", 32),
            "d_ff": ("intermediate_size", 22016),
            "max_positions": ("max_position_embeddings", 32768),
            "layer_norm_eps": ("rms_norm_eps", 1e-6),
        },
        layouts=(_WEIGHTS,),
        fixed=_FIXED,
        choices=_qwen3,
        neutral=_EITHER,
    ),
    "gemma3_text": Family(
        tokenizer="GemmaTokenizer",
        settings={
            **_SETTINGS,
            "vocab_size": ("vocab_size", 262208),
            "n_layers": ("num_hidden_layers", 26),
            "d_model": ("hidden_size", 2304),
            "n_heads": ("num_attention_heads", 8),
            "d_ff": ("intermediate_size", 9216),
            "activation": ("hidden_activation", "gelu_pytorch_tanh"),
            "max_positions": ("max_position_embeddings", 131072),
            "layer_norm_eps": ("rms_norm_eps", 1e-6),
        },
        layouts=(_GEMMA_WEIGHTS,),
        fixed={**_FIXED, "norm": "sandwich", "scale_embeddings": True},
        choices=_gemma3,
        neutral={**_EITHER, "attn_logit_softcapping": (None,)},
    ),
}

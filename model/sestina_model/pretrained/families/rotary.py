"""Families of rotary positions: of BERT's shape (nomic, gte, jina, ModernBERT), and of Llama's.

Their layers are post-norm and plain or pre-norm and gated; the latter's maps have no bias, or are said to.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sestina_model.pretrained.families.bert import BERT_FIXED, BERT_SETTINGS
from sestina_model.pretrained.families.family import Family, Names, Source
from sestina_model.pretrained.families.keys import Keys
from sestina_model.pretrained.families.rope import read_rotary, read_rotary_by_type

__all__ = ["ATTENTION", "GATED", "ROTARY", "local_choices"]

ATTENTION = {
    "layers.{}.attention.query": "layers.{}.self_attn.q_proj",
    "layers.{}.attention.key": "layers.{}.self_attn.k_proj",
    "layers.{}.attention.value": "layers.{}.self_attn.v_proj",
    "layers.{}.attention.output": "layers.{}.self_attn.o_proj",
}
GATED = {
    "layers.{}.feed_forward.gate": "layers.{}.mlp.gate_proj",
    "layers.{}.feed_forward.inner": "layers.{}.mlp.up_proj",
    "layers.{}.feed_forward.output": "layers.{}.mlp.down_proj",
}
_POST_NORM: Names = {
    "tokens": "embeddings.word_embeddings",
    "token_types": "embeddings.token_type_embeddings",
    "embedding_norm": "embeddings.LayerNorm",
    **ATTENTION,
    "layers.{}.attention_norm": "layers.{}.post_attention_layernorm",
    "layers.{}.feed_forward_norm": "layers.{}.post_mlp_layernorm",
}


def _shares(name: str, *ours: str) -> dict[str, Source]:
    """One of their maps that holds several of ours, one after another."""
    return {f"layers.{{}}.{each}": Source(name, part, len(ours)) for part, each in enumerate(ours)}


_FUSED_ATTENTION = ("attention.query", "attention.key", "attention.value")
# As nomic's and Alibaba's own code wrote them, before transformers had these families.
_NOMIC_OWN: Names = {
    "tokens": "embeddings.word_embeddings",
    "token_types": "embeddings.token_type_embeddings",
    "embedding_norm": "emb_ln",
    **_shares("encoder.layers.{}.attn.Wqkv", *_FUSED_ATTENTION),
    "layers.{}.attention.output": "encoder.layers.{}.attn.out_proj",
    "layers.{}.attention_norm": "encoder.layers.{}.norm1",
    "layers.{}.feed_forward.gate": "encoder.layers.{}.mlp.fc12",
    "layers.{}.feed_forward.inner": "encoder.layers.{}.mlp.fc11",
    "layers.{}.feed_forward.output": "encoder.layers.{}.mlp.fc2",
    "layers.{}.feed_forward_norm": "encoder.layers.{}.norm2",
}
_GTE_OWN: Names = {
    "tokens": "embeddings.word_embeddings",
    "token_types": "embeddings.token_type_embeddings",
    "embedding_norm": "embeddings.LayerNorm",
    **_shares("encoder.layer.{}.attention.qkv_proj", *_FUSED_ATTENTION),
    "layers.{}.attention.output": "encoder.layer.{}.attention.o_proj",
    "layers.{}.attention_norm": "encoder.layer.{}.attn_ln",
    **_shares("encoder.layer.{}.mlp.up_gate_proj", "feed_forward.inner", "feed_forward.gate"),
    "layers.{}.feed_forward.output": "encoder.layer.{}.mlp.down_proj",
    "layers.{}.feed_forward_norm": "encoder.layer.{}.mlp_ln",
}
_JINA_OWN: Names = {
    "tokens": "embeddings.word_embeddings",
    "token_types": "embeddings.token_type_embeddings",
    "embedding_norm": "emb_ln",
    **_shares("encoder.layers.{}.mixer.Wqkv", *_FUSED_ATTENTION),
    "layers.{}.attention.output": "encoder.layers.{}.mixer.out_proj",
    "layers.{}.attention_norm": "encoder.layers.{}.norm1",
    "layers.{}.feed_forward.inner": "encoder.layers.{}.mlp.fc1",
    "layers.{}.feed_forward.output": "encoder.layers.{}.mlp.fc2",
    "layers.{}.feed_forward_norm": "encoder.layers.{}.norm2",
}
_MODERNBERT_WEIGHTS: Names = {
    "tokens": "embeddings.tok_embeddings",
    "embedding_norm": "embeddings.norm",
    **_shares("layers.{}.attn.Wqkv", *_FUSED_ATTENTION),
    "layers.{}.attention.output": "layers.{}.attn.Wo",
    "layers.{}.attention_norm": "layers.{}.attn_norm",
    **_shares("layers.{}.mlp.Wi", "feed_forward.gate", "feed_forward.inner"),
    "layers.{}.feed_forward.output": "layers.{}.mlp.Wo",
    "layers.{}.feed_forward_norm": "layers.{}.mlp_norm",
    "final_norm": "final_norm",
}

_NEUTRAL: Mapping[str, tuple[object, ...]] = {
    "is_decoder": (False, None),
    "add_cross_attention": (False, None),
}
_POST_FIXED = {**BERT_FIXED, "positions": "rotary"}


def _post_norm(theta: float) -> Any:
    def choices(keys: Keys) -> Mapping[str, Any]:
        return {"rotary": read_rotary(keys, theta), "d_k": keys.optional_whole("head_dim")}

    return choices


def _modernbert(keys: Keys) -> Mapping[str, Any]:
    n_layers = keys.layers("num_hidden_layers", 22)
    every = keys.whole("global_attn_every_n_layers", 3)
    kinds = keys.layer_types(
        n_layers, ["sliding_attention" if layer % every else "full_attention" for layer in range(n_layers)]
    )
    rotary, local_rotary = read_rotary_by_type(
        keys,
        ("global_rope_theta", 160_000.0),
        ("local_rope_theta", 10_000.0),
        scaled=("full_attention", "sliding_attention"),
    )
    # Half of it, by the name that their code has for that: where a file has both this one counts.
    window = keys.whole("sliding_window", keys.whole("local_attention", 128, 2) // 2)
    return local_choices(kinds, window, rotary, local_rotary) | {
        "attention_bias": keys.flag("attention_bias", default=False),
        "feed_forward_bias": "all" if keys.flag("mlp_bias", default=False) else "none",
        "norm_bias": keys.flag("norm_bias", default=False),
    }


def local_choices(
    kinds: list[str], window: int | None, rotary: object, local_rotary: object
) -> dict[str, Any]:
    """Choices of an encoder some of whose layers look around themselves only."""
    local = tuple(layer for layer, kind in enumerate(kinds) if kind == "sliding_attention")
    other = local_rotary if local and local_rotary != rotary else None
    return {
        "rotary": rotary,
        "local_rotary": other,
        "local_layers": local if window is not None or other is not None else (),
        "window": window if local else None,
    }


ROTARY: Mapping[str, Family] = {
    "nomic_bert": Family(
        tokenizer="BertTokenizer",
        settings={
            **BERT_SETTINGS,
            "vocab_size": ("vocab_size", 30528),
            "activation": ("hidden_act", "silu"),
            "max_positions": ("max_position_embeddings", 2048),
            "dropout": ("hidden_dropout_prob", 0.0),
        },
        layouts=({**_POST_NORM, **GATED}, _NOMIC_OWN),
        fixed={**_POST_FIXED, "gated": True, "attention_bias": False, "feed_forward_bias": "none"},
        choices=_post_norm(1000.0),
        token_types=("token_types", 2),
        neutral={
            **_NEUTRAL,
            # Names of nomic's own code, of which transformers' class has one choice each.
            "activation_function": ("swiglu", None),
            "causal": (False, None),
            "prenorm": (False, None),
            "parallel_block": (False, None),
            "use_rms_norm": (False, None),
            "qkv_proj_bias": (False, None),
            "mlp_fc1_bias": (False, None),
            "mlp_fc2_bias": (False, None),
            "layer_norm_epsilon": (1e-12, None),
            "rotary_emb_base": (1000, None),
            "rotary_emb_fraction": (1.0, None),
            "rotary_emb_interleaved": (False, None),
            "rotary_emb_scale_base": (None,),
            "rotary_scaling_factor": (None,),
            "num_experts": (0, None),
            "moe_every_n_layers": (0, None),
        },
        aliases={
            "hidden_size": "n_embd",
            "num_hidden_layers": "n_layer",
            "num_attention_heads": "n_head",
            "intermediate_size": "n_inner",
        },
        own_code=True,
    ),
    "gte": Family(
        tokenizer="XLMRobertaTokenizer",
        settings={
            **BERT_SETTINGS,
            "vocab_size": ("vocab_size", 250048),
            "max_positions": ("max_position_embeddings", 8192),
            "pad_id": ("pad_token_id", 1),
        },
        layouts=({**_POST_NORM, **GATED}, _GTE_OWN),
        fixed={**_POST_FIXED, "gated": True, "feed_forward_bias": "output"},
        choices=_post_norm(160_000.0),
        token_types=("token_types", 1),
        token_types_optional=True,
        neutral={
            **_NEUTRAL,
            "logn_attention_scale": (False, None),
            "layer_norm_type": ("layer_norm", None),
        },
        own_code=True,
    ),
    "jina_embeddings_v3": Family(
        tokenizer="XLMRobertaTokenizer",
        settings={
            **BERT_SETTINGS,
            "vocab_size": ("vocab_size", 250002),
            "n_layers": ("num_hidden_layers", 24),
            "d_model": ("hidden_size", 1024),
            "n_heads": ("num_attention_heads", 16),
            "d_ff": ("intermediate_size", 4096),
            "max_positions": ("max_position_embeddings", 8194),
            "layer_norm_eps": ("layer_norm_eps", 1e-5),
            "pad_id": ("pad_token_id", 1),
        },
        layouts=(
            {
                **_POST_NORM,
                "layers.{}.feed_forward.inner": "layers.{}.mlp.fc1",
                "layers.{}.feed_forward.output": "layers.{}.mlp.fc2",
            },
            _JINA_OWN,
        ),
        fixed=_POST_FIXED,
        choices=_post_norm(20_000.0),
        token_types=("token_types", 1),
        neutral=_NEUTRAL,
    ),
    "modernbert": Family(
        tokenizer="PreTrainedTokenizerFast",
        settings={
            **BERT_SETTINGS,
            "vocab_size": ("vocab_size", 50368),
            "n_layers": ("num_hidden_layers", 22),
            "d_ff": ("intermediate_size", 1152),
            "activation": ("hidden_activation", "gelu"),
            "max_positions": ("max_position_embeddings", 8192),
            "dropout": ("embedding_dropout", 0.0),
            "layer_norm_eps": ("norm_eps", 1e-5),
            "pad_id": ("pad_token_id", 50283),
        },
        layouts=(_MODERNBERT_WEIGHTS,),
        fixed={**_POST_FIXED, "norm": "pre", "first_norm": False, "gated": True},
        choices=_modernbert,
        neutral=_NEUTRAL,
    ),
}

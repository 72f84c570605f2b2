"""The encoders of T5, mT5 and UMT5: pre-norm, relative position biases, no 1 / sqrt(K), plain or gated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sestina_model.pretrained.families.family import POSITIONS, Family, Names
from sestina_model.pretrained.families.keys import Keys

__all__ = ["T5_LIKE"]

# As far as texts are read where a folder does not say: what they were trained on, not what they can do.
_TRAINED = 512

_SETTINGS: Mapping[str, tuple[str, object]] = {
    "vocab_size": ("vocab_size", 32128),
    "n_layers": ("num_layers", 6),
    "d_model": ("d_model", 512),
    "d_k": ("d_kv", 64),
    "n_heads": ("num_heads", 8),
    "d_ff": ("d_ff", 2048),
    "max_positions": ("", _TRAINED),
    "dropout": ("dropout_rate", 0.1),
    "layer_norm_eps": ("layer_norm_epsilon", 1e-6),
    "pad_id": ("pad_token_id", 0),
}
_MT5_SETTINGS = {
    **_SETTINGS,
    "vocab_size": ("vocab_size", 250112),
    "n_layers": ("num_layers", 8),
    "n_heads": ("num_heads", 6),
    "d_ff": ("d_ff", 1024),
}
_BLOCK = "encoder.block.{}.layer"
_WEIGHTS: Names = {
    "tokens": "shared",
    "layers.{}.attention.query": f"{_BLOCK}.0.SelfAttention.q",
    "layers.{}.attention.key": f"{_BLOCK}.0.SelfAttention.k",
    "layers.{}.attention.value": f"{_BLOCK}.0.SelfAttention.v",
    "layers.{}.attention.output": f"{_BLOCK}.0.SelfAttention.o",
    "layers.{}.attention.relative.table": f"{_BLOCK}.0.SelfAttention.relative_attention_bias.weight",
    "layers.{}.attention_norm": f"{_BLOCK}.0.layer_norm",
    "layers.{}.feed_forward_norm": f"{_BLOCK}.1.layer_norm",
    "layers.{}.feed_forward.inner": f"{_BLOCK}.1.DenseReluDense.wi",
    "layers.{}.feed_forward.output": f"{_BLOCK}.1.DenseReluDense.wo",
    "final_norm": "encoder.final_layer_norm",
    # All layers have that of the first.
    "shared.relative.table": "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight",
}
_GATED: Names = {
    **_WEIGHTS,
    "layers.{}.feed_forward.gate": f"{_BLOCK}.1.DenseReluDense.wi_0",
    "layers.{}.feed_forward.inner": f"{_BLOCK}.1.DenseReluDense.wi_1",
}
_OWN_TABLE = {"tokens": "encoder.embed_tokens"}
# The table of an encoder alone may stand under one name or the other; both are one table, unless a checkpoint
# has both and they differ: then the encoder has its own.
_LAYOUTS = tuple({**names, **table} for names in (_WEIGHTS, _GATED) for table in (_OWN_TABLE, {}))

_FIXED: Mapping[str, Any] = {
    "norm": "pre",
    "norm_kind": "rms",
    "positions": "none",
    "scale_embeddings": False,
    "attention_bias": False,
    "feed_forward_bias": "none",
    "attention_scale": 1.0,
}


def _positions(keys: Keys) -> Mapping[str, Any]:
    """No class of theirs has this key; sentence-transformers cuts texts to it all the same, but for -1."""
    if keys.values.get(POSITIONS, -1) == -1:
        return {}
    return {"max_positions": keys.whole(POSITIONS, _TRAINED)}


def _family(
    settings: Mapping[str, tuple[str, object]], function: str, relative: str, tokenizer: str
) -> Family:
    def choices(keys: Keys) -> Mapping[str, Any]:
        stated = keys.values.get("feed_forward_proj", function)
        parts = stated.split("-") if isinstance(stated, str) else []
        if len(parts) not in (1, 2) or (len(parts) == 2 and parts[0] != "gated"):
            raise keys.wrong("feed_forward_proj", stated, "a function, or 'gated-' and a function")
        # transformers takes this one name for another function than it has elsewhere.
        name, key = "gelu_new" if stated == "gated-gelu" else parts[-1], "feed_forward_proj"
        if "dense_act_fn" in keys.values:  # what follows of it is saved too, and outranks it
            name, key = keys.values["dense_act_fn"], "dense_act_fn"
        return {
            **_positions(keys),
            "activation": keys.activation(key, name),
            "gated": keys.flag("is_gated_act", default=parts[0] == "gated"),
            "d_k": keys.whole("d_kv", 64),  # null is no width there
            "relative": relative,
            "relative_buckets": keys.whole("relative_attention_num_buckets", 32, 4),
            "relative_distance": keys.whole("relative_attention_max_distance", 128, 2),
        }

    return Family(
        tokenizer=tokenizer,
        settings=settings,
        layouts=_LAYOUTS,
        fixed=_FIXED,
        choices=choices,
        neutral={"is_decoder": (False, None)},
        aliases={
            "d_model": "hidden_size",
            "num_heads": "num_attention_heads",
            "num_layers": "num_hidden_layers",
            "d_kv": "head_dim",
        },
    )


T5_LIKE: Mapping[str, Family] = {
    "t5": _family(_SETTINGS, "relu", "shared", "T5Tokenizer"),
    "mt5": _family(_MT5_SETTINGS, "gated-gelu", "shared", "T5Tokenizer"),
    "umt5": _family(_MT5_SETTINGS, "gated-gelu", "layer", "PreTrainedTokenizerFast"),
}

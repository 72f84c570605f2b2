"""DeBERTa of the second and third version: BERT's layers with disentangled attention (He et al. 2021)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from sestina_model.pretrained.families.bert import BERT_NEUTRAL, BERT_SETTINGS, BERT_WEIGHTS
from sestina_model.pretrained.families.family import Family, Names
from sestina_model.pretrained.families.keys import Keys

__all__ = ["DEBERTA"]

_SETTINGS = {
    **BERT_SETTINGS,
    "vocab_size": ("vocab_size", 128100),
    "n_layers": ("num_hidden_layers", 24),
    "d_model": ("hidden_size", 1536),
    "n_heads": ("num_attention_heads", 24),
    "d_ff": ("intermediate_size", 6144),
    "layer_norm_eps": ("layer_norm_eps", 1e-7),
}
_WEIGHTS: Names = {
    **BERT_WEIGHTS,
    "embedding_projection": "embeddings.embed_proj",
    "layers.{}.attention.query": "encoder.layer.{}.attention.self.query_proj",
    "layers.{}.attention.key": "encoder.layer.{}.attention.self.key_proj",
    "layers.{}.attention.value": "encoder.layer.{}.attention.self.value_proj",
    "layers.{}.attention.position_key": "encoder.layer.{}.attention.self.pos_key_proj",
    "layers.{}.attention.position_query": "encoder.layer.{}.attention.self.pos_query_proj",
    "shared.relative.table": "encoder.rel_embeddings.weight",
    "shared.relative.norm": "encoder.LayerNorm",
}
_TERMS = {"c2p": "content_to_position", "p2c": "position_to_content"}


def _choices(keys: Keys) -> Mapping[str, Any]:
    hidden, n_heads = keys.whole("hidden_size", 1536), keys.whole("num_attention_heads", 24)
    d_head = keys.whole("attention_head_size", max(hidden // n_heads, 1))
    terms = _terms(keys)
    chosen: dict[str, Any] = {
        "positions": "learned" if keys.flag("position_biased_input", default=True) else "none",
        "attention_scale": 1 / math.sqrt(d_head * (1 + len(terms))),  # He et al. 2021, section 3.1
    }
    if d_head * n_heads != hidden:
        raise keys.unsupported("attention_head_size", d_head, f"; only {hidden / n_heads:g} is")
    width = keys.whole("embedding_size", hidden)
    if width != hidden:
        chosen |= {"d_embedding": width, "projection": "before_norm", "projection_bias": False}
    if keys.flag("relative_attention", default=False) and terms:
        chosen |= _relative(keys) | {"relative_terms": terms}
    return chosen


def _terms(keys: Keys) -> tuple[str, ...]:
    stated = keys.values.get("pos_att_type")
    if isinstance(stated, str):
        stated = [each.strip() for each in stated.lower().split("|") if each.strip()]
    if not isinstance(stated, list | None) or any(
        not isinstance(each, str) or each not in _TERMS for each in stated or ()
    ):
        raise keys.unsupported("pos_att_type", stated, f"; some of {', '.join(_TERMS)} are")
    return tuple(ours for theirs, ours in _TERMS.items() if theirs in (stated or ()))


def _relative(keys: Keys) -> dict[str, Any]:
    furthest = keys.whole("max_relative_positions", -1, -1)
    buckets = keys.whole("position_buckets", -1, -1)
    norm = keys.values.get("norm_rel_ebd", "none")
    if not isinstance(norm, str) or not {each.strip() for each in norm.lower().split("|")} <= {
        "none",
        "layer_norm",
    }:
        raise keys.unsupported("norm_rel_ebd", norm, "; 'none' and 'layer_norm' are")
    return {
        "relative": "disentangled",
        "relative_buckets": buckets if buckets > 0 else None,
        "relative_distance": furthest if furthest > 0 else keys.whole("max_position_embeddings", 512),
        "relative_norm": "layer_norm" in norm.lower(),
        "relative_own_maps": not keys.flag("share_att_key", default=False),
    }


DEBERTA = Family(
    tokenizer="DebertaV2Tokenizer",
    settings=_SETTINGS,
    layouts=(_WEIGHTS,),
    fixed={"norm": "post", "scale_embeddings": False, "norm_embeddings": True},
    choices=_choices,
    token_types=("embeddings.token_type_embeddings", 0),
    token_types_optional=True,
    neutral={**BERT_NEUTRAL, "conv_kernel_size": (0, None)},
)

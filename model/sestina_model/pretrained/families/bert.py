"""BERT and those that keep its layers: post-norm, learned positions, a LayerNorm after the embedding sum.

They differ in names, in token types, in RoBERTa's position table, which starts after the padding id, in
narrower tables (ELECTRA, ALBERT), in shared layers (ALBERT) and in MPNet's relative positions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sestina_model.pretrained.families.family import Family, Names
from sestina_model.pretrained.families.keys import Keys

__all__ = ["BERT_FIXED", "BERT_LIKE", "BERT_NEUTRAL", "BERT_SETTINGS", "BERT_WEIGHTS"]

BERT_SETTINGS: Mapping[str, tuple[str, object]] = {
    "vocab_size": ("vocab_size", 30522),
    "n_layers": ("num_hidden_layers", 12),
    "d_model": ("hidden_size", 768),
    "n_heads": ("num_attention_heads", 12),
    "d_ff": ("intermediate_size", 3072),
    "activation": ("hidden_act", "gelu"),
    "max_positions": ("max_position_embeddings", 512),
    "dropout": ("hidden_dropout_prob", 0.1),
    "layer_norm_eps": ("layer_norm_eps", 1e-12),
    "pad_id": ("pad_token_id", 0),
}
_ROBERTA_SETTINGS = {**BERT_SETTINGS, "vocab_size": ("vocab_size", 50265), "pad_id": ("pad_token_id", 1)}
_XLM_ROBERTA_SETTINGS = {**BERT_SETTINGS, "pad_id": ("pad_token_id", 1)}
# MPNet's code counts from 1 whatever pad_token_id is.
_MPNET_SETTINGS = {**BERT_SETTINGS, "vocab_size": ("vocab_size", 30527), "pad_id": ("", 1)}
_ELECTRA_SETTINGS = {
    **BERT_SETTINGS,
    "d_model": ("hidden_size", 256),
    "n_heads": ("num_attention_heads", 4),
    "d_ff": ("intermediate_size", 1024),
}
_ALBERT_SETTINGS = {
    **BERT_SETTINGS,
    "vocab_size": ("vocab_size", 30000),
    "d_model": ("hidden_size", 4096),
    "n_heads": ("num_attention_heads", 64),
    "d_ff": ("intermediate_size", 16384),
    "activation": ("hidden_act", "gelu_new"),
    "dropout": ("hidden_dropout_prob", 0.0),
}
_DISTILBERT_SETTINGS: Mapping[str, tuple[str, object]] = {
    "vocab_size": ("vocab_size", 30522),
    "n_layers": ("n_layers", 6),
    "d_model": ("dim", 768),
    "n_heads": ("n_heads", 12),
    "d_ff": ("hidden_dim", 3072),
    "activation": ("activation", "gelu"),
    "max_positions": ("max_position_embeddings", 512),
    "dropout": ("dropout", 0.1),
    # Its code fixes 1e-12 and never looks at a layer_norm_eps, so neither does this name.
    "layer_norm_eps": ("", 1e-12),
    "pad_id": ("pad_token_id", 0),
}

_EMBEDDINGS = {
    "tokens": "embeddings.word_embeddings",
    "positions": "embeddings.position_embeddings.weight",
    "embedding_norm": "embeddings.LayerNorm",
}
BERT_WEIGHTS: Names = {
    **_EMBEDDINGS,
    "layers.{}.attention.query": "encoder.layer.{}.attention.self.query",
    "layers.{}.attention.key": "encoder.layer.{}.attention.self.key",
    "layers.{}.attention.value": "encoder.layer.{}.attention.self.value",
    "layers.{}.attention.output": "encoder.layer.{}.attention.output.dense",
    "layers.{}.attention_norm": "encoder.layer.{}.attention.output.LayerNorm",
    "layers.{}.feed_forward.inner": "encoder.layer.{}.intermediate.dense",
    "layers.{}.feed_forward.output": "encoder.layer.{}.output.dense",
    "layers.{}.feed_forward_norm": "encoder.layer.{}.output.LayerNorm",
}
_DISTILBERT_WEIGHTS: Names = {
    **_EMBEDDINGS,
    "layers.{}.attention.query": "transformer.layer.{}.attention.q_lin",
    "layers.{}.attention.key": "transformer.layer.{}.attention.k_lin",
    "layers.{}.attention.value": "transformer.layer.{}.attention.v_lin",
    "layers.{}.attention.output": "transformer.layer.{}.attention.out_lin",
    "layers.{}.attention_norm": "transformer.layer.{}.sa_layer_norm",
    "layers.{}.feed_forward.inner": "transformer.layer.{}.ffn.lin1",
    "layers.{}.feed_forward.output": "transformer.layer.{}.ffn.lin2",
    "layers.{}.feed_forward_norm": "transformer.layer.{}.output_layer_norm",
}
_MPNET_WEIGHTS: Names = {
    **BERT_WEIGHTS,
    "layers.{}.attention.query": "encoder.layer.{}.attention.attn.q",
    "layers.{}.attention.key": "encoder.layer.{}.attention.attn.k",
    "layers.{}.attention.value": "encoder.layer.{}.attention.attn.v",
    "layers.{}.attention.output": "encoder.layer.{}.attention.attn.o",
    "layers.{}.attention_norm": "encoder.layer.{}.attention.LayerNorm",
    "shared.relative.table": "encoder.relative_attention_bias.weight",
}
_ELECTRA_WEIGHTS: Names = {**BERT_WEIGHTS, "embedding_projection": "embeddings_project"}
_ALBERT_LAYER = "encoder.albert_layer_groups.{}"
_ALBERT_WEIGHTS: Names = {
    **_EMBEDDINGS,
    "embedding_projection": "encoder.embedding_hidden_mapping_in",
    "layers.{}.attention.query": f"{_ALBERT_LAYER}.attention.query",
    "layers.{}.attention.key": f"{_ALBERT_LAYER}.attention.key",
    "layers.{}.attention.value": f"{_ALBERT_LAYER}.attention.value",
    "layers.{}.attention.output": f"{_ALBERT_LAYER}.attention.dense",
    "layers.{}.attention_norm": f"{_ALBERT_LAYER}.attention.LayerNorm",
    "layers.{}.feed_forward.inner": f"{_ALBERT_LAYER}.ffn",
    "layers.{}.feed_forward.output": f"{_ALBERT_LAYER}.ffn_output",
    "layers.{}.feed_forward_norm": f"{_ALBERT_LAYER}.full_layer_layer_norm",
}
_TOKEN_TYPES = ("embeddings.token_type_embeddings", 2)

BERT_FIXED: Mapping[str, Any] = {
    "norm": "post",
    "positions": "learned",
    "scale_embeddings": False,
    "norm_embeddings": True,
}
BERT_NEUTRAL: Mapping[str, tuple[object, ...]] = {
    "position_embedding_type": ("absolute", None),
    "is_decoder": (False, None),
    "add_cross_attention": (False, None),
    "rope_theta": (None,),
    "rope_scaling": (None,),
    "rope_parameters": (None,),
}


def _electra(keys: Keys) -> Mapping[str, Any]:
    width, hidden = keys.whole("embedding_size", 128), keys.whole("hidden_size", 256)
    return {} if width == hidden else {"d_embedding": width}


def _albert(keys: Keys) -> Mapping[str, Any]:
    """N times the layers of a group, most often one; of several groups, each is as many times run."""
    n_layers, n_groups = keys.layers("num_hidden_layers", 12), keys.whole("num_hidden_groups", 1)
    inner = keys.layers("inner_group_num", 1, 1)
    if n_groups > max(n_layers, 1):
        raise keys.wrong("num_hidden_groups", n_groups, f"at most num_hidden_layers, which is {n_layers}")
    groups = [int(layer / (n_layers / n_groups)) for layer in range(n_layers)]
    return {
        "d_embedding": keys.whole("embedding_size", 128),
        "n_layers": n_layers * inner,
        "shared_layers": tuple(group * inner + each for group in groups for each in range(inner)),
    }


def _albert_layer(keys: Keys) -> Callable[[int], str]:
    inner = keys.layers("inner_group_num", 1, 1)
    return lambda layer: f"{layer // inner}.albert_layers.{layer % inner}"


def _mpnet(keys: Keys) -> Mapping[str, Any]:  # noqa: ARG001  its code fixes both, whatever the file says
    return {"relative": "shared", "relative_buckets": 32, "relative_distance": 128}


def _family(tokenizer: str, settings: Mapping[str, tuple[str, object]], names: Names, **more: Any) -> Family:
    given = {"fixed": BERT_FIXED, "neutral": BERT_NEUTRAL, "token_types": _TOKEN_TYPES, **more}
    return Family(tokenizer=tokenizer, settings=settings, layouts=(names,), **given)


BERT_LIKE: Mapping[str, Family] = {
    "bert": _family("BertTokenizer", BERT_SETTINGS, BERT_WEIGHTS),
    "distilbert": _family(
        "BertTokenizer",
        _DISTILBERT_SETTINGS,
        _DISTILBERT_WEIGHTS,
        token_types=None,
        aliases={
            "dim": "hidden_size",
            "n_heads": "num_attention_heads",
            "n_layers": "num_hidden_layers",
        },
    ),
    "roberta": _family("RobertaTokenizer", _ROBERTA_SETTINGS, BERT_WEIGHTS, padded_positions=True),
    "xlm-roberta": _family("XLMRobertaTokenizer", _XLM_ROBERTA_SETTINGS, BERT_WEIGHTS, padded_positions=True),
    "camembert": _family("CamembertTokenizer", _XLM_ROBERTA_SETTINGS, BERT_WEIGHTS, padded_positions=True),
    "electra": _family("BertTokenizer", _ELECTRA_SETTINGS, _ELECTRA_WEIGHTS, choices=_electra),
    "albert": _family(
        "AlbertTokenizer",
        _ALBERT_SETTINGS,
        _ALBERT_WEIGHTS,
        choices=_albert,
        layer_name=_albert_layer,
    ),
    "mpnet": _family(
        "MPNetTokenizer",
        _MPNET_SETTINGS,
        _MPNET_WEIGHTS,
        choices=_mpnet,
        token_types=None,
        padded_positions=True,
        neutral={**BERT_NEUTRAL, "relative_attention_num_buckets": (32,)},
    ),
}

"""The pretrained families as data: how each names its configuration and its weights.

All are post-norm encoders with learned positions and a LayerNorm after the embedding sum. They differ
in names, in token types, and in RoBERTa's position table, which starts after the padding id.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sestina_model._checks import is_whole
from sestina_model._errors import CheckpointError, ConfigError, UnsupportedCheckpointError
from sestina_model.config import EncoderConfig

__all__ = ["FAMILIES", "Architecture", "Family", "read_architecture"]


@dataclass(frozen=True, slots=True)
class Family:
    """One family.

    Attributes:
        tokenizer: The class that Hugging Face tokenizes with where a folder names none.
        settings: Our configuration name -> (theirs, the value where config.json has none).
        weights: Our weight name -> theirs, without `prefix`. Layers are `{}`.
        prefix: What a checkpoint with a task head puts before the names of the encoder's weights.
        token_types: The token-type table, of which row 0 is used, or None.
        padded_positions: Whether positions are counted from the padding id + 1, and over tokens that are not
            padding (fairseq's habit): one that is written out in a text ("<pad>") has the row of that id.
        aliases: Their name -> another name that config.json may use for it.
    """

    tokenizer: str
    settings: Mapping[str, tuple[str, object]]
    weights: Mapping[str, str]
    prefix: str
    token_types: str | None
    padded_positions: bool = False
    aliases: Mapping[str, str] = field(default_factory=dict)


_BERT_SETTINGS: Mapping[str, tuple[str, object]] = {
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
_ROBERTA_SETTINGS = {**_BERT_SETTINGS, "vocab_size": ("vocab_size", 50265), "pad_id": ("pad_token_id", 1)}
_XLM_ROBERTA_SETTINGS = {**_BERT_SETTINGS, "pad_id": ("pad_token_id", 1)}
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
    "positions": "embeddings.position_embeddings",
    "embedding_norm": "embeddings.LayerNorm",
}
_BERT_WEIGHTS = {
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
_DISTILBERT_WEIGHTS = {
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
_TOKEN_TYPES = "embeddings.token_type_embeddings"

FAMILIES: Mapping[str, Family] = {
    "bert": Family("BertTokenizer", _BERT_SETTINGS, _BERT_WEIGHTS, "bert.", _TOKEN_TYPES),
    "distilbert": Family(
        "BertTokenizer",
        _DISTILBERT_SETTINGS,
        _DISTILBERT_WEIGHTS,
        "distilbert.",
        None,
        aliases={
            "dim": "hidden_size",
            "n_heads": "num_attention_heads",
            "n_layers": "num_hidden_layers",
        },
    ),
    "roberta": Family("RobertaTokenizer", _ROBERTA_SETTINGS, _BERT_WEIGHTS, "roberta.", _TOKEN_TYPES, True),
    "xlm-roberta": Family(
        "XLMRobertaTokenizer", _XLM_ROBERTA_SETTINGS, _BERT_WEIGHTS, "roberta.", _TOKEN_TYPES, True
    ),
}

# Settings of the families' configurations that change the computation, and the values that do not.
_NEUTRAL: Mapping[str, tuple[object, ...]] = {
    "position_embedding_type": ("absolute", None),
    "is_decoder": (False, None),
    "add_cross_attention": (False, None),
    "quantization_config": (None,),
    "pruned_heads": ({}, None),
    "rope_theta": (None,),
    "rope_scaling": (None,),
    "rope_parameters": (None,),
}


@dataclass(frozen=True, slots=True)
class Architecture:
    """What a config.json says: the family, our configuration, and how tables are cut to it."""

    family: Family
    config: EncoderConfig
    skipped_positions: int  # rows at the start of the position table that no token ever uses
    n_token_types: int

    def source_of(self, name: str) -> str:
        """The family's name for one of our weights."""
        if name == "positions":
            return f"{self.family.weights[name]}.weight"
        module, _, kind = name.rpartition(".")
        layer = next((part for part in module.split(".") if part.isdigit()), "")
        pattern = module.replace(f".{layer}.", ".{}.", 1) if layer else module
        return f"{self.family.weights[pattern].format(layer)}.{kind}"


def read_architecture(values: Mapping[str, Any], origin: Path) -> Architecture:
    """Read a Hugging Face config.json.

    Raises:
        CheckpointError: Where a value is missing or makes no sense.
        UnsupportedCheckpointError: Naming what Sestina's encoder does not have.
    """
    family = _family(values, origin)
    for key, neutral in _NEUTRAL.items():
        if values.get(key) not in neutral:
            allowed = "" if neutral[0] is None else f"; only {neutral[0]!r} is"
            raise UnsupportedCheckpointError(f"{origin}: {key} {values[key]!r:.60} is not supported{allowed}")
    if values.get("auto_map"):
        raise UnsupportedCheckpointError(
            f"{origin}: auto_map {values['auto_map']!r:.60} is not supported; code that comes with a "
            f"checkpoint is never run"
        )
    for name, alias in family.aliases.items():
        if values.get(name, values.get(alias)) != values.get(alias, values.get(name)):
            raise CheckpointError(
                f"{origin}: {name} is {values[name]!r:.60} and {alias}, another name for it, is "
                f"{values[alias]!r:.60}; state one"
            )
    settings: dict[str, Any] = {
        name: values.get(key, values.get(family.aliases.get(key, key), default))
        for name, (key, default) in family.settings.items()
    }
    if settings["pad_id"] is None and not family.padded_positions:
        settings["pad_id"] = family.settings["pad_id"][1]  # it decides nothing there
    if settings["activation"] not in ("gelu", "relu"):
        raise UnsupportedCheckpointError(
            f"{origin}: activation {settings['activation']!r:.60} is not supported; 'gelu' (exact) "
            f"and 'relu' are"
        )
    n_token_types = values.get("type_vocab_size", 2) if family.token_types else 0
    if family.token_types and (not is_whole(n_token_types) or n_token_types < 1):
        raise CheckpointError(
            f"{origin}: type_vocab_size is {n_token_types!r:.60}; it must be a whole number of at least 1"
        )
    try:
        config = EncoderConfig(
            **settings,
            norm="post",
            positions="counted" if family.padded_positions else "learned",
            scale_embeddings=False,
            norm_embeddings=True,
            token_types="folded" if family.token_types else "none",
        )
        skipped = config.pad_id if family.padded_positions else 0
        if family.padded_positions:  # those before the padding id's own, and that one
            config = replace(config, max_positions=config.max_positions - skipped - 1)
    except ConfigError as error:
        raise CheckpointError(f"{origin}: {error}") from error
    return Architecture(family, config, skipped, n_token_types)


def _family(values: Mapping[str, Any], origin: Path) -> Family:
    model_type, known = values.get("model_type"), ", ".join(FAMILIES)
    if not isinstance(model_type, str):
        raise CheckpointError(f"{origin} has no model_type; add the one of {known} that it is")
    if model_type not in FAMILIES:
        raise UnsupportedCheckpointError(
            f"{origin}: model_type {model_type!r:.60} is not supported; {known} are"
        )
    return FAMILIES[model_type]

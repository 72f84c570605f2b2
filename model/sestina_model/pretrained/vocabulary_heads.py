"""Heads of masked language models, as transformers has them: a logit for each token of the vocabulary.

Every state goes through a linear map, an activation and a LayerNorm, and then through the decoder, whose
weight is mostly the token table once more ("tied", and then often absent from the file).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from sestina_model._errors import UnsupportedCheckpointError
from sestina_model.head_steps import Step
from sestina_model.pretrained.families.keys import Keys
from sestina_model.pretrained.sequence_heads import SequenceHead, read_step_activation

__all__ = ["read_vocabulary_head"]


class _Shape(NamedTuple):
    """Names of the parts, and what their configuration is called.

    Attributes:
        dense, norm, decoder: The parts.
        bias: Where else the decoder's bias may stand; "" is nowhere.
        activation: As `read_step_activation` takes it.
        eps: Of the LayerNorm, or the key that says it.
        width: The key of the width between the two maps; "" is that of a state.
    """

    dense: str
    norm: str
    decoder: str
    bias: str = ""
    activation: str = "gelu"
    eps: float | str = "layer_norm_eps"
    width: str = ""


_LM_HEAD = _Shape("lm_head.dense", "lm_head.layer_norm", "lm_head.decoder", "lm_head.bias")
_SHAPES: Mapping[str, _Shape] = {
    "bert": _Shape(
        "cls.predictions.transform.dense",
        "cls.predictions.transform.LayerNorm",
        "cls.predictions.decoder",
        "cls.predictions.bias",
        "=hidden_act",
    ),
    "roberta": _LM_HEAD,
    "xlm-roberta": _LM_HEAD,
    "camembert": _LM_HEAD,
    "mpnet": _LM_HEAD,
    "distilbert": _Shape(
        "vocab_transform",
        "vocab_layer_norm",
        "vocab_projector",
        activation="=activation",
        eps=1e-12,
    ),
    "electra": _Shape(
        "generator_predictions.dense",
        "generator_predictions.LayerNorm",
        "generator_lm_head",
        width="embedding_size",
    ),
    "modernbert": _Shape("head.dense", "head.norm", "decoder", "", "=classifier_activation", "norm_eps"),
}


def read_vocabulary_head(keys: Keys, d_model: int, vocab_size: int) -> SequenceHead:
    """The head that a config.json describes.

    Args:
        keys: What it holds.
        d_model: The width of a hidden state.
        vocab_size: Rows of the token table.

    Raises:
        CheckpointError: Where a value makes no sense.
        UnsupportedCheckpointError: Where the family has no such head, or it is one that is not carried.
    """
    family = str(keys.values.get("model_type"))
    shape = _SHAPES.get(family)
    if shape is None:
        raise UnsupportedCheckpointError(
            f"{keys.origin}: model_type {keys.values.get('model_type')!r:.60} has no head of masked language "
            f"models that is supported; {', '.join(_SHAPES)} have one"
        )
    modern, eps = family == "modernbert", shape.eps
    if isinstance(eps, str):
        eps = keys.number(eps, 1e-5 if modern else 1e-12)
    steps = (
        Step(
            kind="dense",
            out_features=keys.whole(shape.width, d_model) if shape.width else d_model,
            activation=read_step_activation(keys, shape.activation),
            bias=keys.flag("classifier_bias", default=False) if modern else True,
        ),
        Step(kind="layer_norm", eps=eps),
        Step(
            kind="dense",
            out_features=vocab_size,
            bias=keys.flag("decoder_bias", default=True) if modern else True,
        ),
    )
    return SequenceHead(
        pooling="max",
        steps=steps,
        names=(shape.dense, shape.norm, shape.decoder),
        labels=(),
        biasless=("1.bias",) if modern and not keys.flag("norm_bias", default=False) else (),
        tied="2.linear.weight" if keys.flag("tie_word_embeddings", default=True) else None,
        elsewhere={shape.bias: "2.linear.bias"} if shape.bias else {},
    )

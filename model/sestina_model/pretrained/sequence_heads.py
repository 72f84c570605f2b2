"""Heads of classification, as transformers has them: what each family puts behind its encoder.

They are steps as any others: a pooling, linear maps with an activation or a norm after them, and the last map
gives a logit for each label. Dropout between them does nothing once a model is trained.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from sestina_model._errors import CheckpointError, UnsupportedCheckpointError
from sestina_model.head_config import Activation, HeadConfig, Task
from sestina_model.head_steps import Step
from sestina_model.pretrained.families.keys import Keys

__all__ = [
    "BASE",
    "SequenceHead",
    "read_labels",
    "read_sequence_head",
    "read_step_activation",
    "read_token_head",
]

BASE = "{base}"  # in a name: what stands before the encoder's own names

# transformers' names of activations, and those of the steps that are them.
_ACTIVATIONS = {
    "gelu": "GELU", "tanh": "Tanh", "relu": "ReLU", "relu6": "ReLU6", "silu": "SiLU", "swish": "SiLU",
    "mish": "Mish", "sigmoid": "Sigmoid", "linear": "Identity",
}  # fmt: skip
_POOLINGS = {"cls": "cls", "bos": "cls", "mean": "mean"}


class _Shape(NamedTuple):
    """What stands before the last map: (name, activation) of one map, and the name of that last."""

    dense: str
    activation: str  # of `_ACTIVATIONS`, or with a "=" before it the key of config.json that says it
    last: str


_POOLER = _Shape(f"{BASE}pooler.dense", "tanh", "classifier")
_CLASSIFIER = _Shape("classifier.dense", "tanh", "classifier.out_proj")
_SHAPES: Mapping[str, _Shape] = {
    "bert": _POOLER,
    "nomic_bert": _POOLER,
    "gte": _POOLER,
    "albert": _Shape(f"{BASE}pooler", "tanh", "classifier"),
    "roberta": _CLASSIFIER,
    "xlm-roberta": _CLASSIFIER,
    "camembert": _CLASSIFIER,
    "mpnet": _CLASSIFIER,
    "jina_embeddings_v3": _CLASSIFIER,
    "electra": _Shape("classifier.dense", "gelu", "classifier.out_proj"),
    "distilbert": _Shape("pre_classifier", "relu", "classifier"),
    "deberta-v2": _Shape("pooler.dense", "=pooler_hidden_act", "classifier"),
    "modernbert": _Shape("head.dense", "=classifier_activation", "classifier"),
    "eurobert": _Shape("dense", "gelu", "classifier"),
}
_MODERN_NORM = "head.norm"


class SequenceHead(NamedTuple):
    """One head, in our own terms.

    Attributes:
        pooling: Of which state it is made.
        steps: What follows.
        names: Of the weights of each step, as the checkpoint has them.
        labels: What the numbers stand for, in order.
        biasless: Weights of ours that the checkpoint may lack: a norm's bias, which then is 0.
        tied: The weight of ours that is the token table where the checkpoint lacks it; None: none is.
        elsewhere: Weights of ours by a further name that they may have there.
    """

    pooling: str
    steps: tuple[Step, ...]
    names: tuple[str, ...]
    labels: tuple[str, ...]
    biasless: tuple[str, ...] = ()
    tied: str | None = None
    elsewhere: Mapping[str, str] = MappingProxyType({})

    def config(self, task: Task, activation: Activation, max_tokens: int) -> HeadConfig:
        """The text contract with it."""
        return HeadConfig(
            pooling=self.pooling,
            normalize=False,
            max_tokens=max_tokens,
            steps=self.steps,
            task=task,
            labels=self.labels,
            activation=activation,
        )


def read_sequence_head(keys: Keys, d_model: int) -> SequenceHead:
    """The head that a config.json describes.

    Args:
        keys: What it holds.
        d_model: The width of a hidden state.

    Raises:
        CheckpointError: Where labels are missing, or a value makes no sense.
        UnsupportedCheckpointError: Where the family has no such head, or it is one that is not carried.
    """
    family = keys.values.get("model_type")
    shape = _SHAPES.get(str(family))
    if shape is None:
        raise UnsupportedCheckpointError(
            f"{keys.origin}: model_type {family!r:.60} has no head of sequence classification that is "
            f"supported; {', '.join(_SHAPES)} have one"
        )
    labels = read_labels(keys.values, keys.origin)
    modern = family == "modernbert"
    dense = Step(
        kind="dense",
        out_features=d_model,
        activation=read_step_activation(keys, shape.activation),
        bias=keys.flag("classifier_bias", default=False) if modern else True,
    )
    last = Step(kind="dense", out_features=len(labels))
    if family == "deberta-v2" and keys.whole("pooler_hidden_size", d_model) != d_model:
        raise keys.unsupported("pooler_hidden_size", keys.values["pooler_hidden_size"], f"; {d_model} is")
    if not modern:
        return SequenceHead(_pooling(keys, str(family)), (dense, last), (shape.dense, shape.last), labels)
    names = (shape.dense, _MODERN_NORM, shape.last)
    norm = Step(kind="layer_norm", eps=keys.number("norm_eps", 1e-5))
    lacks = () if keys.flag("norm_bias", default=False) else ("1.bias",)
    return SequenceHead(_pooling(keys, "modernbert"), (dense, norm, last), names, labels, lacks)


def read_step_activation(keys: Keys, named: str) -> str:
    """The activation of a step: of transformers' names, or with a "=" before it the key that says it."""
    found = keys.values.get(named[1:], "gelu") if named.startswith("=") else named
    if not isinstance(found, str) or found not in _ACTIVATIONS:
        raise keys.unsupported(named[1:], found, f"; {', '.join(_ACTIVATIONS)} are")
    return _ACTIVATIONS[found]


def read_token_head(keys: Keys, d_model: int) -> SequenceHead:
    """The head of token classification that a config.json describes: one map of every state.

    Raises: as `read_sequence_head`.
    """
    family = keys.values.get("model_type")
    if family not in _SHAPES:
        raise UnsupportedCheckpointError(
            f"{keys.origin}: model_type {family!r:.60} has no head of token classification that is "
            f"supported; {', '.join(_SHAPES)} have one"
        )
    if family == "modernbert":  # the same as of sequences
        return read_sequence_head(keys, d_model)._replace(pooling="mean")
    labels = read_labels(keys.values, keys.origin)
    return SequenceHead("mean", (Step(kind="dense", out_features=len(labels)),), ("classifier",), labels)


def _pooling(keys: Keys, family: str) -> str:
    usual = {"modernbert": "cls", "eurobert": "late"}.get(family)
    if usual is None:
        return "cls"
    stated = keys.values.get("classifier_pooling", usual)
    if stated not in _POOLINGS:
        raise keys.unsupported("classifier_pooling", stated, f"; {', '.join(_POOLINGS)} are")
    return _POOLINGS[stated]


def read_labels(config: Mapping[str, Any], origin: Path) -> tuple[str, ...]:
    """The labels by their number; where a config.json has none, LABEL_0 and so on, as transformers has it.

    Raises:
        CheckpointError: Where a number has no label, or two have the same.
    """
    named = config.get("id2label")
    if named is None:
        count = config.get("num_labels", 2)
        if not isinstance(count, int) or isinstance(count, bool) or not 0 < count <= 2**20:
            raise CheckpointError(f"{origin}: num_labels is {count!r:.60}; it must be a whole number from 1")
        return tuple(f"LABEL_{number}" for number in range(count))
    labels = _in_order(named) if isinstance(named, dict) else None
    if not labels or not all(isinstance(label, str) for label in labels):
        raise CheckpointError(
            f"{origin}: id2label is {named!r:.120}; labels are missing: it must map each number from 0 on to "
            f"its label"
        )
    if len(set(labels)) != len(labels):
        raise CheckpointError(f"{origin}: id2label is {named!r:.120}; two numbers have one label")
    return tuple(labels)


def _in_order(named: Mapping[str, Any]) -> Sequence[Any] | None:
    """The values by number, where the keys are 0, 1, 2 and so on."""
    numbers = {str(number) for number in range(len(named))}
    return [named[str(number)] for number in range(len(named))] if set(named) == numbers else None

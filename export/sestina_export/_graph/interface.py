"""What a graph takes and gives, by name and type: the one definition that every step of the export reads."""

from __future__ import annotations

from collections.abc import Mapping

from sestina._bundle.manifest import RESULTS
from sestina._bundle.results import TENSORS
from sestina_model.head_config import HeadConfig
from sestina_model.sentence import SentenceEncoder

__all__ = [
    "ATTENDED",
    "INPUT",
    "INPUTS",
    "MASK",
    "OUTPUTS",
    "POOLED_FROM",
    "STATES",
    "TYPES",
    "attends_apart",
    "axes_of",
    "further_of",
    "inputs_of",
    "outputs_of",
    "result_of",
]

INPUT, MASK, TYPES, POOLED_FROM = "input_ids", "attention_mask", "token_type_ids", "pooled_from"
ATTENDED = "attended"
STATES = "last_hidden_state"
OUTPUTS = (RESULTS["embedding"], STATES)

# By a variant's `shapes`: its inputs, (batch, length) each, in order, and their types.
INPUTS: Mapping[str, Mapping[str, str]] = {
    "dynamic": {INPUT: "int64"},
    "static": {INPUT: "int32", MASK: "int32"},
}


def inputs_of(shapes: str, model: SentenceEncoder) -> Mapping[str, str]:
    """All inputs of a model's graph, in order, and their types."""
    inputs = dict(INPUTS[shapes])
    if model.encoder.config.n_token_types is not None:
        inputs[TYPES] = inputs[INPUT]
    if not model.head.include_prompt:
        inputs[POOLED_FROM] = inputs[INPUT]
    if shapes == "dynamic" and attends_apart(model.head):  # where shapes are static the mask says it
        inputs[ATTENDED] = inputs[INPUT]
    return inputs


def attends_apart(head: HeadConfig) -> bool:
    """Whether a text may have tokens at its end that others do not attend to."""
    return head.late_interaction is not None and head.late_interaction.unattended > 0


def result_of(head: HeadConfig) -> str:
    """The output that the task asks for."""
    return RESULTS[head.task]


def outputs_of(head: HeadConfig) -> tuple[str, ...]:
    """All outputs of a graph with this head, in order: the result, the hidden states, and `further_of`."""
    return (result_of(head), STATES, *further_of(head))


def further_of(head: HeadConfig) -> tuple[str, ...]:
    """What there is of each token besides."""
    return () if head.token_outputs is None else tuple(TENSORS[name] for name in head.token_outputs.names)


def axes_of(name: str) -> tuple[str | int, ...]:
    """The axes of an input."""
    return (1,) if name in (POOLED_FROM, ATTENDED) else ("batch", "length")

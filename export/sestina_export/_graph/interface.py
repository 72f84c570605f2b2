"""What a graph takes and gives, by name and type: the one definition that every step of the export reads."""

from __future__ import annotations

from collections.abc import Mapping

from sestina_model.head_config import HeadConfig

__all__ = ["INPUT", "INPUTS", "MASK", "OUTPUTS", "POOLED_FROM", "axes_of", "inputs_of"]

INPUT, MASK, POOLED_FROM = "input_ids", "attention_mask", "pooled_from"
OUTPUTS = ("sentence_embedding", "last_hidden_state")

# By a variant's `shapes`: its inputs, (batch, length) each, in order, and their types.
INPUTS: Mapping[str, Mapping[str, str]] = {
    "dynamic": {INPUT: "int64"},
    "static": {INPUT: "int32", MASK: "int32"},
}


def inputs_of(shapes: str, head: HeadConfig) -> Mapping[str, str]:
    """All inputs of a graph with this head, in order, and their types."""
    inputs = INPUTS[shapes]
    return inputs if head.include_prompt else {**inputs, POOLED_FROM: inputs[INPUT]}


def axes_of(name: str) -> tuple[str | int, ...]:
    """The axes of an input."""
    return (1,) if name == POOLED_FROM else ("batch", "length")

"""What a graph takes and gives, by name and type: the one definition that every step of the export reads."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["INPUT", "INPUTS", "MASK", "OUTPUTS"]

INPUT, MASK = "input_ids", "attention_mask"
OUTPUTS = ("sentence_embedding", "last_hidden_state")

# By a variant's `shapes`: its inputs, (batch, length) each, in order, and their types.
INPUTS: Mapping[str, Mapping[str, str]] = {
    "dynamic": {INPUT: "int64"},
    "static": {INPUT: "int32", MASK: "int32"},
}

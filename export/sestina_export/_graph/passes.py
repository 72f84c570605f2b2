"""Rewrites of an exported graph. Each takes a model and changes it in place."""

from __future__ import annotations

from collections.abc import Callable

import onnx
import onnx_ir
from onnx_ir.passes import Sequential
from onnx_ir.passes.common import (
    CommonSubexpressionEliminationPass,
    DeduplicateInitializersPass,
    RemoveUnusedNodesPass,
)

from sestina._session.inner_values import attention_bias, attention_inputs
from sestina_export._graph.states_part import STATES, needed_for

__all__ = [
    "ATTENTIONS",
    "Pass",
    "drop_inner_shapes",
    "drop_metadata",
    "name_attention_inputs",
    "share_equal_nodes",
    "whole_attentions",
]

Pass = Callable[[onnx.ModelProto], None]

_WITH_BIAS = ("MultiHeadAttention", 5)  # where an attention node has what is added to its scores
ATTENTIONS = ("MultiHeadAttention", "GroupQueryAttention")


def drop_metadata(model: onnx.ModelProto) -> None:
    """Remove the exporter's notes, which hold stack traces and paths of the machine that exported."""
    graph = model.graph
    for carrier in (model, graph, *graph.node, *graph.input, *graph.output, *graph.value_info):
        del carrier.metadata_props[:]
        carrier.doc_string = ""
    for tensor in graph.initializer:
        del tensor.metadata_props[:]
        tensor.doc_string = ""


def drop_inner_shapes(model: onnx.ModelProto) -> None:
    """Remove shape notes of inner values: they name the exporter's symbols, and onnxruntime infers them."""
    del model.graph.value_info[:]


def share_equal_nodes(model: onnx.ModelProto) -> None:
    """Compute once what several nodes compute alike, such as the quantised input of query, key and value."""
    shared = Sequential(
        DeduplicateInitializersPass(), CommonSubexpressionEliminationPass(), RemoveUnusedNodesPass()
    )(onnx_ir.from_proto(model))
    model.CopyFrom(onnx_ir.to_proto(shared.model))


def whole_attentions(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    """The attention of every layer in order, without that of one token where the last has it twice."""
    nodes = [node for node in model.graph.node if node.op_type in ATTENTIONS]
    needed = needed_for(model.graph, STATES)
    return [node for node in nodes if node.output[0] in needed]


def name_attention_inputs(model: onnx.ModelProto) -> None:
    """Call what feeds each layer's attention as the runtime looks for it, whatever the exporter called it.

    They stay inner values, which cost nothing. Nodes are in the order of their layers.
    """
    names: dict[str, str] = {}
    for layer, node in enumerate(whole_attentions(model)):
        names.update(zip(node.input, attention_inputs(layer), strict=False))  # what follows has none
        if node.op_type == _WITH_BIAS[0] and len(node.input) > _WITH_BIAS[1]:
            names.setdefault(node.input[_WITH_BIAS[1]], attention_bias(layer))  # of several the first
    for node in model.graph.node:
        for values in (node.input, node.output):
            values[:] = [names.get(value, value) for value in values]

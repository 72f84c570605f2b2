"""Any form in float16: half the download, and the arithmetic that graphics processors are fastest at."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from torch import Tensor, nn

from sestina_export._errors import GraphError
from sestina_export._forms.base import Form, TracedEncoder
from sestina_export._forms.counts import Counts
from sestina_export._graph.weights import checkable
from sestina_model.sentence import SentenceEncoder

__all__ = ["Float16Form"]

_LAST_HIDDEN_STATE = "last_hidden_state"
_HALF = "_fp16"  # ends the name of a value that is also needed in float32
_LARGEST = float(np.finfo(np.float16).max)


class Float16Form:
    """Weights and layers of another form in float16; inputs, outputs, pooling and normalisation as before.

    A sum over hundreds of tokens or squares needs more digits than float16 has. LayerNormalization and
    softmax take float16 and give it, and onnxruntime's kernels compute them in float32 between.
    """

    rewrites_weights = True

    def __init__(self, form: Form) -> None:
        self._form = form

    def encoder(self, model: SentenceEncoder) -> TracedEncoder:
        """As the form that is converted."""
        return self._form.encoder(model)

    def linear(self, path: str, linear: nn.Linear) -> nn.Module:
        """As the form that is converted."""
        return self._form.linear(path, linear)

    def table(self, table: Tensor) -> nn.Module:
        """As the form that is converted."""
        return self._form.table(table)

    def finish(self, graph: onnx.ModelProto) -> None:
        """Turn the finished graph to float16, all but what follows the hidden states."""
        self._form.finish(graph)
        _to_float16(graph)

    def part(self, module: nn.Module) -> nn.Module | None:
        """As the form that is converted."""
        return self._form.part(module)

    def expected_nodes(self, counts: Counts) -> Mapping[str, int]:
        """As the form that is converted: only Casts are added."""
        return self._form.expected_nodes(counts)


def _to_float16(model: onnx.ModelProto) -> None:
    """Everything that the last hidden states are made of in float16, everything after them as it was.

    onnxruntime's own converter leaves nodes out of order and moves weights that are almost zero.
    """
    graph = model.graph
    body = _makers(graph)
    inferred = onnx.shape_inference.infer_shapes(checkable(model)).graph
    floats = {
        value.name
        for value in (*inferred.value_info, *inferred.output, *inferred.input)
        if value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    }
    _convert_weights(graph, body)
    read_after = {name for node in graph.node if not body.intersection(node.output) for name in node.input}
    nodes = []
    for node in graph.node:
        nodes.append(node)
        if not body.intersection(node.output):
            continue
        for attribute in node.attribute:
            if node.op_type == "Cast" and attribute.name == "to" and attribute.i == onnx.TensorProto.FLOAT:
                attribute.i = onnx.TensorProto.FLOAT16
        for at, name in enumerate(node.output):
            if name in floats and (name in read_after or name == _LAST_HIDDEN_STATE):
                node.output[at] = name + _HALF
                back = onnx.helper.make_node("Cast", [name + _HALF], [name], to=onnx.TensorProto.FLOAT)
                nodes.append(back)
    renamed = {name for node in nodes for name in node.output if name.endswith(_HALF)}
    for node in nodes:
        if body.intersection(name.removesuffix(_HALF) for name in node.output) and node.op_type != "Cast":
            for at, name in enumerate(node.input):
                if name + _HALF in renamed:
                    node.input[at] = name + _HALF
    del graph.node[:]
    graph.node.extend(nodes)


def _makers(graph: onnx.GraphProto) -> set[str]:
    """Every value that the last hidden states are made of, and they themselves."""
    made = {_LAST_HIDDEN_STATE}
    for node in reversed(graph.node):
        if made.intersection(node.output):
            made.update(node.input)
    return made


def _convert_weights(graph: onnx.GraphProto, body: set[str]) -> None:
    """Float32 constants of the body to float16; one that the rest reads too keeps a float32 twin there."""
    rest = {name for node in graph.node if not body.intersection(node.output) for name in node.input}
    for tensor in list(graph.initializer):
        if tensor.name not in body or tensor.data_type != onnx.TensorProto.FLOAT:
            continue
        if tensor.name in rest:
            twin = graph.initializer.add()
            twin.CopyFrom(tensor)
            twin.name = tensor.name + "_fp32"
            for node in graph.node:
                if not body.intersection(node.output):
                    node.input[:] = [twin.name if name == tensor.name else name for name in node.input]
        values = onnx.numpy_helper.to_array(tensor)
        largest = float(np.abs(values).max(initial=0.0))
        if not largest <= _LARGEST:
            raise GraphError(
                f"{tensor.name} holds {largest:.3g}, and float16 nothing above {_LARGEST:.0f}: "
                "leave this precision out"
            )
        tensor.CopyFrom(onnx.numpy_helper.from_array(values.astype(np.float16), tensor.name))

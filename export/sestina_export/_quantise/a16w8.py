"""The portable encoder for processors of integers: 16-bit activations, 8-bit weights, every scale a constant.

Eight bits are too few for the activations of a Transformer, whose channels differ in size by two orders.
The scales are written as QuantizeLinear and DequantizeLinear around each operator, from which Qualcomm's
compiler makes integer arithmetic; on another provider the same graph runs in floats, rounded alike.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from torch import nn

from sestina._bundle.manifest import FIRST_POOLINGS
from sestina_export._errors import GraphError
from sestina_export._forms.portable import PortableForm, Product, repeated
from sestina_export._graph.body import head_nodes
from sestina_export._graph.buckets import buckets_for, padded
from sestina_export._graph.weights import fits
from sestina_export._quantise.calibrate import InputStatistics, calibrate
from sestina_export._quantise.rounding import ANY_PAIR, column_scales, round_to_int8
from sestina_export._tools import quiet_tools
from sestina_model.checkpoint import Checkpoint
from sestina_model.inputs import Text

__all__ = ["LEAST_ON_HTP", "A16W8Form"]

# At 16 tokens the HTP of onnxruntime-qnn 2.7 computes quantised layers of width 512 wrong (cosine 0.967);
# at any other length that was tried, and at 16 in float16, it does not.
LEAST_ON_HTP = 32

_WEIGHTS = "model.encoder.layers."
_LONG = 6  # texts as long as the limit, of either kind


class A16W8Form(PortableForm):
    """Weights int8 with a scale per output channel, tables and gains uint8, everything else uint16.

    All but the softmax of attention and the sums that it weights, which stay in floats, float16 on the HTP:
    of two 16-bit operands it rounds the second further, and neither values nor the small weights of a long
    text can bear that.
    """

    # -10000 among the scores would leave them steps of 0.15; exp(-100) is nothing beside any other score.
    masked = -100.0
    rewrites_weights = True

    def __init__(self, checkpoint: Checkpoint, texts: Sequence[Text]) -> None:
        super().__init__(checkpoint.model.encoder.config)
        alone = [text for text in texts if isinstance(text, str)]
        size = sum(4 * parameter.numel() for parameter in checkpoint.model.parameters())
        if not fits(size):
            raise GraphError(
                f"the float32 graph that a16w8 is made of would have {size} bytes, and with its weights "
                "inside it must have less than 2 GiB: this encoder is too large for a16w8"
            )
        self._statistics: Mapping[str, InputStatistics] = calibrate(checkpoint, alone)
        ids = checkpoint.tokenize([*alone, *_extremes(alone, checkpoint.model.head.max_tokens)])
        self._ids = [each for each in ids if each]
        self._buckets = buckets_for(checkpoint.model.head.max_tokens, LEAST_ON_HTP)
        head = checkpoint.model.head
        self._pooled_from = None if head.include_prompt else 0
        self._plain = head.pooling in FIRST_POOLINGS and not head.steps and head.include_prompt
        self._scales: dict[str, npt.NDArray[np.float32]] = {}

    def linear(self, path: str, linear: nn.Linear) -> nn.Module:
        """A product with the float values of integers that are rounded by what its inputs look like."""
        scale = self.scale_of(path)
        kept, bias = repeated(self._config, path, linear)
        weight = kept.T * scale
        scales = column_scales(weight, ANY_PAIR)
        integers = round_to_int8(weight, scales, self._statistics[path].hessian, ANY_PAIR)
        self._scales[f"{_WEIGHTS}{path}.weight"] = scales.numpy()
        return Product(integers * scales, None if bias is None else bias * scale)

    def finish(self, graph: onnx.ModelProto) -> None:
        """Measure every value on the calibration texts, padded as they will be, and write the scales."""
        for number, node in enumerate(graph.graph.node):
            node.name = node.name or f"{node.op_type}_{number}"
        with tempfile.TemporaryDirectory() as folder, quiet_tools():
            from onnxruntime.quantization import QuantType, quantize
            from onnxruntime.quantization.execution_providers.qnn import get_qnn_qdq_config

            config = get_qnn_qdq_config(
                graph,
                _Reader(self._ids, self._buckets, self._pooled_from),
                activation_type=QuantType.QUInt16,
                weight_type=QuantType.QUInt8,
                init_overrides=self._overrides(graph.graph, QuantType),
                nodes_to_exclude=[*_weighted_sums(graph.graph), *self._left(graph.graph)],
                keep_removable_activations=True,  # the scales of a ReLU's input would otherwise stand for it
            )
            quantize(graph, Path(folder) / "quantised.onnx", config)
            graph.CopyFrom(onnx.load(Path(folder) / "quantised.onnx"))

    def _left(self, graph: Any) -> list[str]:
        """Names of the nodes of a head that does more than pool and normalise: too few to be worth it."""
        return [] if self._plain else [node.name for node in head_nodes(graph)]

    def _overrides(self, graph: Any, types: Any) -> dict[str, list[dict[str, Any]]]:
        """Of constants: what the quantiser would choose otherwise."""
        overrides: dict[str, list[dict[str, Any]]] = {}
        for node in graph.node:
            if node.op_type == "MatMul" and node.input[1] in self._scales:
                zero = np.array(0, dtype=np.int8)
                channels: list[dict[str, Any]] = [
                    {"quant_type": types.QInt8, "scale": scale, "zero_point": zero, "axis": 1}
                    for scale in self._scales[node.input[1]]
                ]
                overrides[node.input[1]] = channels
            elif node.op_type == "LayerNormalization":
                overrides[node.input[1]] = [{"quant_type": types.QUInt8}]
            elif node.op_type == "Gather":
                overrides[node.input[0]] = [{"quant_type": types.QUInt8}]
        missing = self._scales.keys() - overrides.keys()
        if missing:
            raise GraphError(f"the graph has no weight {min(missing)}, which was to be quantised")
        return overrides


def _weighted_sums(graph: Any) -> list[str]:
    """Names of the nodes that turn the scores of attention into weights, and sum values by them."""
    weights = {node.output[0] for node in graph.node if node.op_type == "Softmax"}
    return [node.name for node in graph.node if weights.intersection((*node.input, *node.output))]


def _extremes(texts: Sequence[str], max_tokens: int) -> list[str]:
    """Texts that reach further than sentences do: nothing evens out over two tokens, or over one repeated."""
    words = list(dict.fromkeys(text.split()[0] for text in texts))
    repeated = [" ".join([word] * max_tokens) for word in words[:_LONG]]
    joined = [" ".join(texts[at::_LONG]) for at in range(_LONG)]
    return ["", *words, *repeated, *joined]


class _Reader:
    """The calibration texts, one by one, in the way the quantiser asks for them."""

    def __init__(self, ids: Sequence[Sequence[int]], buckets: Sequence[int], pooled_from: int | None) -> None:
        self._feeds = (padded(each, buckets, pooled_from) for each in ids)

    def get_next(self) -> dict[str, npt.NDArray[np.int32]] | None:
        """The next text's inputs; None after the last."""
        return next(self._feeds, None)

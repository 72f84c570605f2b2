"""16-bit activations and 8-bit weights: quantised whole, its integers ours, its ranges wide enough."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from _made import EVERY_TARGET
from _tiny import LINES, tiny_bpe, tiny_checkpoint, tiny_wordpiece
from sestina_export import GraphError, export
from sestina_export._proof.parity import open_graph, run_texts
from sestina_export._proof.quality import cosines
from sestina_export._quantise.a16w8 import A16W8Form
from sestina_export._quantise.calibrate import default_texts
from sestina_export._quantise.rounding import ANY_PAIR, column_scales, round_to_int8


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> onnx.ModelProto:
    out = tmp_path_factory.mktemp("a16w8") / "out.sestina"
    checkpoint = tiny_checkpoint(tiny_bpe(), activation="relu", positions="sinusoidal", norm_embeddings=False)
    return onnx.load(export(checkpoint, out, targets=["qnn"]).path / "qnn-a16w8.onnx")


def types(graph: onnx.ModelProto) -> Counter[str]:
    """How many values each integer type stores as constants."""
    found: Counter[str] = Counter()
    for tensor in graph.graph.initializer:
        found[onnx.TensorProto.DataType.Name(tensor.data_type)] += int(np.prod(tensor.dims))
    return found


def test_weights_are_int8_and_activations_uint16(graph: onnx.ModelProto) -> None:
    stored = types(graph)
    assert stored["INT8"] >= 2 * (4 * 32 * 32 + 2 * 32 * 64)
    producers = {name: node.op_type for node in graph.graph.node for name in node.output}
    zero_points = {tensor.name: tensor.data_type for tensor in graph.graph.initializer}
    quantised = [node for node in graph.graph.node if node.op_type == "QuantizeLinear"]
    of_bytes = [node for node in quantised if zero_points[node.input[2]] == onnx.TensorProto.UINT8]
    assert [producers[node.input[0]] for node in of_bytes] == ["Gather"]  # what the table holds, no more
    wide = [node for node in quantised if zero_points[node.input[2]] == onnx.TensorProto.UINT16]
    assert len(wide) == len(quantised) - 1 > 40
    for node in graph.graph.node:
        if node.op_type in ("MatMul", "Softmax", "LayerNormalization", "Relu"):
            # The sums that attention weights are in floats, and so is what it weights them by.
            before = producers[node.input[0]]
            assert before == "DequantizeLinear" or (before, node.op_type) == ("Softmax", "MatMul"), node.name
    assert Counter(node.op_type for node in graph.graph.node)["Relu"] == 2
    assert {node.domain for node in graph.graph.node} == {""}


def test_every_weight_matrix_has_a_scale_per_output_channel(graph: onnx.ModelProto) -> None:
    shapes = {tensor.name: tuple(tensor.dims) for tensor in graph.graph.initializer}
    kinds = {tensor.name: tensor.data_type for tensor in graph.graph.initializer}
    matrices = [
        node
        for node in graph.graph.node
        if node.op_type == "DequantizeLinear" and kinds.get(node.input[0]) == onnx.TensorProto.INT8
    ]
    assert len(matrices) == 12
    for node in matrices:
        (axis,) = (attribute.i for attribute in node.attribute if attribute.name == "axis")
        assert axis == 1
        assert shapes[node.input[1]] == (shapes[node.input[0]][1],)


def test_the_stored_integers_are_those_that_were_rounded(graph: onnx.ModelProto) -> None:
    """The quantiser is told our scales: it must find our integers again, not round to others."""
    values = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.graph.initializer}
    weights = [value for name, value in values.items() if value.dtype == np.int8 and value.ndim == 2]
    assert len(weights) == 12
    assert max(int(np.abs(value.astype(int)).max()) for value in weights) == 127
    # Pairs are not held apart: with 16-bit inputs nothing saturates.
    even = [value[: len(value) // 2 * 2].astype(int).reshape(-1, 2, value.shape[1]) for value in weights]
    assert max(int(np.clip(value, 0, None).sum(1).max()) for value in even) > 128


def test_no_limit_of_pairs_costs_less() -> None:
    weight = torch.randn(64, 32, generator=torch.Generator().manual_seed(5))
    free = column_scales(weight, ANY_PAIR)
    assert torch.equal(free, weight.abs().amax(0) / 127)
    errors = [
        (round_to_int8(weight, scales, torch.eye(64), limit) * scales - weight).norm()
        for scales, limit in ((free, ANY_PAIR), (column_scales(weight), 128))
    ]
    assert errors[0] < errors[1]


def test_a_weight_that_is_not_in_the_graph_is_missed() -> None:
    checkpoint = tiny_checkpoint(tiny_wordpiece())
    form = A16W8Form(checkpoint, default_texts()[:40])
    form.linear("0.attention.query", checkpoint.model.encoder.layers[0].attention.query)
    with pytest.raises(GraphError, match=r"no weight model\.encoder\.layers\.0\.attention\.query\.weight"):
        form.finish(
            onnx.ModelProto(graph=onnx.GraphProto(), opset_import=[onnx.OperatorSetIdProto(version=21)])
        )


def test_texts_at_the_limit_are_in_range(make_bundle: Callable[..., Path]) -> None:
    """What repeats one word, and what has two tokens, is no further from PyTorch than sentences are."""
    checkpoint = tiny_checkpoint(tiny_wordpiece())
    session = open_graph((make_bundle(targets=EVERY_TARGET) / "qnn-a16w8.onnx").read_bytes())
    texts = [*LINES, " ".join(["the"] * 80), " ".join(["model"] * 60), "a", ""]
    vectors = run_texts(session, checkpoint.tokenize(texts), 32, (32, 64))
    got = cosines(vectors, checkpoint.encode(texts))
    assert got.min() > 0.99
    assert cosines(vectors, np.roll(checkpoint.encode(texts), 1, axis=0)).min() < 0.9


def test_padding_is_nothing_after_quantisation(graph: onnx.ModelProto) -> None:
    checkpoint = tiny_checkpoint(tiny_bpe(), activation="relu", positions="sinusoidal", norm_embeddings=False)
    session = open_graph(graph.SerializeToString())
    ids = [row[:12] for row in checkpoint.tokenize(list(LINES))]
    near, far = (run_texts(session, ids, 32, (length,)) for length in (32, 64))
    np.testing.assert_allclose(near, far, atol=2e-3)
    assert np.abs(near - np.roll(near, 1, axis=0)).max() > 0.02  # the comparison can fail

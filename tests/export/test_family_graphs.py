"""Every family as a graph: one attention node a layer, and what PyTorch gives, beyond every window."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable
from functools import cache

import onnx
import pytest
import torch

from _families import TRAITS, family_checkpoint
from sestina_export import ExportError, ParityError, export
from sestina_export._build import build_graph
from sestina_export._forms.base import Float32Form
from sestina_export._graph.states_part import serialised
from sestina_export._proof.parity import measure_batches, measure_padding, measure_shapes, open_graph
from sestina_export._quantise.calibrate import default_texts
from sestina_export._variants import VARIANTS, VariantSpec
from sestina_model.checkpoint import Checkpoint

TOLERANCE = 2e-5  # of values as large as 1: small random encoders multiply what float32 rounds
MADE = {"sestina": "test"}


def spec_of(target: str, precision: str) -> VariantSpec:
    return next(spec for spec in VARIANTS if (spec.target, spec.precision) == (target, precision))


@cache
def graph_of(
    family: str, target: str = "cpu", precision: str = "fp32", pooling: str = "mean"
) -> tuple[Checkpoint, onnx.ModelProto]:
    checkpoint = family_checkpoint(family, pooling=pooling)
    spec = spec_of(target, precision)
    form = spec.form(checkpoint, default_texts()[::40])
    # What the graph must have of each node is asserted in here.
    return checkpoint, build_graph(checkpoint.model, spec, form, MADE)


def operators(model: onnx.ModelProto) -> Counter[str]:
    return Counter(node.op_type for node in model.graph.node)


@pytest.mark.parametrize("family", TRAITS)
def test_a_family_is_what_pytorch_gives(family: str) -> None:
    checkpoint, graph = graph_of(family)
    measure_shapes(graph.SerializeToString(), checkpoint.model, TOLERANCE, family)


def altered(checkpoint: Checkpoint, alter: Callable[[torch.nn.Module], None]) -> Checkpoint:
    other = copy.deepcopy(checkpoint)
    with torch.no_grad():
        alter(other.model.encoder)
    return other


@pytest.mark.parametrize(
    "family, alter",
    [
        ("mpnet", lambda encoder: encoder.shared.relative.table[5].add_(0.5)),
        ("modernbert", lambda encoder: encoder.shared.local_rotary.sin.neg_()),
        ("nomic_bert", lambda encoder: encoder.shared.rotary.cos[30:].add_(0.3)),
        ("qwen3", lambda encoder: encoder.layers[1].attention.key_norm.weight[3:4].add_(1)),
        ("deberta-v2", lambda encoder: encoder.shared.relative.table[13, :3].add_(1)),
        ("umt5", lambda encoder: encoder.layers[1].feed_forward.gate.weight[:2].neg_()),
    ],
)
def test_what_is_particular_of_a_family_counts(family: str, alter: Callable[[torch.nn.Module], None]) -> None:
    """Negative control: of an encoder that differs in one such thing the graph is not."""
    checkpoint, graph = graph_of(family)
    other = altered(checkpoint, alter)
    with pytest.raises(ParityError, match="differs from PyTorch by"):
        measure_shapes(graph.SerializeToString(), other.model, 10 * TOLERANCE, family)


def test_kernels_are_those_that_were_chosen() -> None:
    found = operators(graph_of("modernbert")[1])
    assert (found["MultiHeadAttention"], found["RotaryEmbedding"], found["Trilu"]) == (2, 4, 2)
    assert not found["Softmax"] + found["Transpose"] + found["Where"]
    found = operators(graph_of("qwen3")[1])
    assert (found["GroupQueryAttention"], found["RMSNormalization"], found["QuickGelu"]) == (2, 9, 2)
    assert not found["MultiHeadAttention"] + found["Sigmoid"] + found["ReduceMean"]
    found = operators(graph_of("mpnet")[1])
    assert found["Gather"] - found["Transpose"] == 2  # tokens and positions; one table of biases for all
    assert found["Transpose"] == 1


def test_a_window_that_no_text_reaches_is_left_out() -> None:
    checkpoint = family_checkpoint("modernbert", window=39)
    spec = spec_of("cpu", "fp32")
    graph = build_graph(checkpoint.model, spec, Float32Form(), MADE)
    assert not operators(graph)["Trilu"]
    measure_shapes(graph.SerializeToString(), checkpoint.model, TOLERANCE, "no window")
    near = family_checkpoint("modernbert", window=38)
    assert operators(build_graph(near.model, spec, Float32Form(), MADE))["Trilu"] == 2


@pytest.mark.parametrize("family", ["gemma3_text", "umt5", "mpnet"])
def test_in_standard_operators(family: str) -> None:
    checkpoint, graph = graph_of(family, "portable")
    assert {node.domain for node in graph.graph.node} == {""}
    assert operators(graph)["Shape"] == 1
    content = graph.SerializeToString()
    measure_shapes(content, checkpoint.model, TOLERANCE, family)
    measure_padding(content, checkpoint.model, TOLERANCE, family)


@pytest.mark.parametrize("family", ["mpnet", "qwen3", "deberta-v2"])
def test_int8_rows_are_alone_in_any_company(family: str) -> None:
    checkpoint, graph = graph_of(family, "cpu", "int8")
    content = graph.SerializeToString()
    assert measure_batches(content, checkpoint.model, family) == [2, 5]
    ids = [list(range(7, 7 + length)) for length in (3, 11, 40)]
    session = open_graph(content)
    for row in ids:
        (vector,) = session.run(["sentence_embedding"], {"input_ids": [row]})
        with torch.inference_mode():
            reference = checkpoint.model(torch.tensor([row])).sentence_embedding.numpy()
        assert (vector * reference).sum() > 0.97


@pytest.mark.parametrize("family", ["mpnet", "modernbert", "gemma3_text"])
def test_the_pooled_token_alone_is_what_it_is_among_all(family: str) -> None:
    """The vector of the first token's state, and the states without which it is made."""
    checkpoint, graph = graph_of(family, pooling="cls")
    before = graph.SerializeToString(deterministic=True)
    content = serialised(graph)
    assert graph.SerializeToString(deterministic=True) == before != content
    measure_shapes(content, checkpoint.model, TOLERANCE, family)
    whole = open_graph(content)
    first = {"input_ids": [list(range(5, 30)), list(range(6, 31))]}
    vectors, states = whole.run(None, first)
    with torch.inference_mode():
        pooled = checkpoint.model.finish(torch.from_numpy(states[:, 0])).numpy()
    assert abs(vectors - pooled).max() < 1e-6


def test_disentangled_attention_is_refused_where_operators_lack(tmp_path: object) -> None:
    checkpoint = family_checkpoint("deberta-v2")
    with pytest.raises(
        ExportError,
        match="target portable has no graph of deberta-v2: its disentangled attention takes GatherElements, "
        "which is not among the operators that every provider takes whole; export it for the cpu",
    ):
        export(checkpoint, f"{tmp_path}/out.sestina", targets=["cpu", "portable"])

"""Positions that are counted over tokens that are not padding, in every form of a graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

import sestina
from _tiny import LINES, tiny_checkpoint, tiny_roberta
from sestina._bundle.bundle import Bundle
from sestina_export import export
from sestina_export._proof.parity import open_graph, run_texts
from sestina_model.checkpoint import Checkpoint
from sestina_model.encoder import TransformerEncoder, counted_positions
from sestina_model.sentence import SentenceEncoder

WRITTEN_OUT = "the <pad> model <pad><pad> relates tokens <pad>"
TARGETS = ["cpu", "portable", "cuda", "qnn", "webgpu", "mobile-cpu"]


@pytest.fixture(scope="module")
def counted() -> Checkpoint:
    return tiny_checkpoint(tiny_roberta(), positions="counted", n_layers=1)


@pytest.fixture(scope="module")
def plain(counted: Checkpoint) -> Checkpoint:
    """The same encoder, but that every token takes a position."""
    config = replace(counted.model.encoder.config, positions="learned")
    encoder = TransformerEncoder(config)
    state = counted.model.encoder.state_dict()
    encoder.load_state_dict(state | {"positions": state["positions"][1:]})
    return replace(counted, model=SentenceEncoder(encoder, counted.model.head).eval())


@pytest.fixture(scope="module")
def bundles(
    counted: Checkpoint, plain: Checkpoint, tmp_path_factory: pytest.TempPathFactory
) -> Mapping[str, Path]:
    folder = tmp_path_factory.mktemp("positions")
    export(counted, folder / "counted.sestina", targets=TARGETS)
    export(plain, folder / "plain.sestina", targets=["cpu", "portable"])
    return {name: folder / f"{name}.sestina" for name in ("counted", "plain")}


def test_by_hand() -> None:
    ids = torch.tensor([[0, 1, 7, 1, 1, 9], [1, 1, 1, 1, 1, 1], [4, 4, 4, 4, 4, 4]])
    rows = [[1, 0, 2, 0, 0, 3], [0, 0, 0, 0, 0, 0], [1, 2, 3, 4, 5, 6]]
    assert counted_positions(ids, 1).tolist() == rows


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_padding_that_is_written_out(
    precision: str, counted: Checkpoint, plain: Checkpoint, bundles: Mapping[str, Path]
) -> None:
    (reference,), (other,) = counted.encode([WRITTEN_OUT]), plain.encode([WRITTEN_OUT])
    with sestina.load(bundles["counted"], precision=precision) as encoder:
        found = encoder.encode(WRITTEN_OUT)
        together = encoder.encode(["model", WRITTEN_OUT, WRITTEN_OUT, LINES[0]])[2]
    assert found @ reference > (0.999 if precision == "int8" else 1 - 1e-6)
    np.testing.assert_allclose(together, found, atol=1e-6)
    assert other @ reference < 0.99  # what it is where every token takes a position


@pytest.mark.parametrize("file", ["portable-fp32", "cuda-fp16", "qnn-a16w8", "webgpu-fp16"])
def test_in_the_other_forms(
    file: str, counted: Checkpoint, plain: Checkpoint, bundles: Mapping[str, Path]
) -> None:
    variants = Bundle(bundles["counted"]).manifest.variants
    buckets = next(each.buckets for each in variants if each.entry.file == f"{file}.onnx")
    content = (bundles["counted"] / f"{file}.onnx").read_bytes()
    (found,) = run_texts(open_graph(content), counted.tokenize([WRITTEN_OUT]), counted.dimensions, buckets)
    assert found @ counted.encode([WRITTEN_OUT])[0] > 0.999
    assert found @ plain.encode([WRITTEN_OUT])[0] < 0.99


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_text_without_padding_is_as_it_was(precision: str, bundles: Mapping[str, Path]) -> None:
    vectors = []
    for bundle in bundles.values():
        with sestina.load(bundle, precision=precision) as encoder:
            vectors.append(encoder.encode(LINES))
    assert vectors[0].tobytes() == vectors[1].tobytes()


def test_a_graph_that_counts_nothing_has_no_such_nodes(bundles: Mapping[str, Path]) -> None:
    for name, expected in (("counted", 1), ("plain", 0)):
        for path in bundles[name].glob("*.onnx"):
            operators = [node.op_type for node in onnx.load(path).graph.node]
            assert operators.count("CumSum") == expected, path

"""Graphs whose weights can be mapped: where they begin, and that nothing else of the graph has changed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

import sestina
from _tiny import TEXTS, tiny_bundle
from sestina._bundle import mapped as _mapped
from sestina._bundle.mapped import ALIGNMENT, LEAST_MAPPED, large_initializers, outline
from sestina._bundle.protobuf import fields
from sestina_export._graph.aligned import aligned


def constants(*sizes: int, doc: str | None = None, prefix: str = "c") -> bytes:
    """A serialised graph of nothing but constants of so many bytes."""
    tensors = [
        onnx.numpy_helper.from_array(np.full(size, at + 1, np.uint8), f"{prefix}{at}")
        for at, size in enumerate(sizes)
    ]
    graph = onnx.helper.make_graph([], "constants", [], [], tensors, doc_string=doc)
    content: bytes = onnx.helper.make_model(graph, producer_name="sestina").SerializeToString()
    return content


def begins(graph: bytes) -> list[int]:
    """Where the values of its large initializers begin."""
    return [
        each.raw[0]
        for field in fields(graph, 0, len(graph))
        if field.number == _mapped.MODEL_GRAPH
        for each in large_initializers(graph, field.value, field.end)
    ]


def without_doc(graph: bytes) -> onnx.ModelProto:
    model = onnx.load_from_string(graph)
    assert model.graph.doc_string == ""
    model.graph.ClearField("doc_string")
    return model


@pytest.mark.parametrize("more", range(ALIGNMENT + 1))
def test_every_large_one_begins_at_a_multiple(more: int) -> None:
    graph = constants(10, LEAST_MAPPED + more, LEAST_MAPPED - 1, LEAST_MAPPED, 3 * LEAST_MAPPED + 1)
    filled = aligned(graph)
    assert len(begins(filled)) == 3
    assert all(begin % ALIGNMENT == 0 for begin in begins(filled))
    assert any(begin % ALIGNMENT for begin in begins(graph))
    assert len(filled) - len(graph) < 3 * (ALIGNMENT + 2) + 4
    assert without_doc(filled) == without_doc(graph)


@pytest.mark.parametrize("size", [*range(2**21 - 260, 2**21 + 4, 3)])
def test_where_the_gaps_lengthen_the_graphs_own_length(size: int) -> None:
    filled = aligned(constants(LEAST_MAPPED, size - LEAST_MAPPED))
    assert [begin % ALIGNMENT for begin in begins(filled)] == [0, 0]
    assert len(onnx.load_from_string(filled).graph.initializer) == 2


def test_keeps_the_doc_string_and_is_done_once() -> None:
    graph = constants(LEAST_MAPPED + 5, doc="what it is")
    filled = aligned(graph)
    assert onnx.load_from_string(filled) == onnx.load_from_string(graph)
    assert begins(aligned(filled)) == begins(filled)


def test_a_bundle_so_written_is_mapped_and_right(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_mapped, "LEAST_MAPPED", 1 << 10)  # what is large in a tiny encoder
    mapped = tiny_bundle(tmp_path / "mapped.sestina")
    for path in mapped.glob("*.onnx"):
        short = outline(path.read_bytes(), path.name)
        assert short is not None, path.name
        assert len(short.graph) < path.stat().st_size / 2
    for precision in ("fp32", "int8"):
        with (
            sestina.load(mapped, precision=precision) as one,
            sestina.load(bundle, precision=precision) as two,
        ):
            assert one.verify().passed
            assert np.array_equal(one.encode(TEXTS[:-1]), two.encode(TEXTS[:-1]))

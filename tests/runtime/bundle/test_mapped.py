"""Weights that stay in their file: the outline of a graph, and what onnxruntime makes of it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import sestina
from sestina._bundle import graph as _graph
from sestina._bundle import mapped as _mapped
from sestina._bundle.files import open_plain
from sestina._bundle.graph import Graph
from sestina._bundle.manifest import FileEntry, TensorInfo, Variant
from sestina._bundle.mapped import ALIGNMENT, LEAST_MAPPED, large_initializers, outline
from sestina._bundle.protobuf import fields, sized, whole
from sestina._session.session import Session, Setting
from sestina_export._graph.aligned import aligned

WIDTH = 32
VARIANT = Variant(
    FileEntry("graph.onnx", "0" * 64, 1),
    "cpu",
    "fp32",
    "dynamic",
    (TensorInfo("input_ids", "int64", ("batch", "length")),),
    (TensorInfo("sentence_embedding", "float32", ("batch", WIDTH)),),
    {"tolerance": 1e-5},
)


def lookup(rows: int = LEAST_MAPPED // WIDTH // 4, name: str = "table") -> bytes:
    """A serialised graph that sums rows of a table, and adds a small constant."""
    helper, kind = onnx.helper, onnx.TensorProto
    table = np.arange(rows * WIDTH, dtype=np.float32).reshape(rows, WIDTH)
    graph = helper.make_graph(
        [
            helper.make_node("Gather", [name, "input_ids"], ["rows"]),
            helper.make_node("ReduceSum", ["rows", "axis"], ["sum"], keepdims=0),
            helper.make_node("Add", ["sum", "small"], ["sentence_embedding"]),
        ],
        "lookup",
        [helper.make_tensor_value_info("input_ids", kind.INT64, ("batch", "length"))],
        [helper.make_tensor_value_info("sentence_embedding", kind.FLOAT, ("batch", WIDTH))],
        [
            onnx.numpy_helper.from_array(np.ones(WIDTH, np.float32), "small"),
            onnx.numpy_helper.from_array(table, name),
            onnx.numpy_helper.from_array(np.array([1]), "axis"),
        ],
        doc_string="sums rows",
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    content: bytes = model.SerializeToString()
    return content


def places(graph: bytes) -> list[_mapped.Initializer]:
    return [
        each
        for field in fields(graph, 0, len(graph))
        if field.number == _mapped.MODEL_GRAPH
        for each in large_initializers(graph, field.value, field.end)
    ]


def vector(content: bytes, ids: list[int], more: bytes = b"") -> np.ndarray:
    session = Session(Graph(content, "graph.onnx"), VARIANT, Setting(), more)
    return session.run("sentence_embedding", np.array([ids]))[0]


def held(path: Path) -> Graph:
    """Of a file, as a bundle opens it."""
    file = open_plain(str(path))
    assert file is not None
    return Graph(file.map(), str(path))


class TestOutline:
    def test_says_where_the_values_lie(self) -> None:
        graph = aligned(lookup())
        short = outline(graph, "nowhere")
        assert short is not None
        assert len(short.graph) < 1000 < LEAST_MAPPED < len(graph)
        model, whole_model = onnx.load_from_string(short.graph), onnx.load_from_string(graph)
        small, table, axis = model.graph.initializer
        assert (small.HasField("raw_data"), axis.HasField("raw_data")) == (True, True)
        assert not table.HasField("raw_data")
        assert {entry.key: entry.value for entry in table.external_data} == {"location": "nowhere"}
        (view,) = short.views
        raw = whole_model.graph.initializer[1].raw_data
        assert (view.name, view.dtype, view.shape) == ("table", "<f4", tuple(table.dims))
        assert graph[view.begin : view.begin + len(raw)] == raw
        del table.external_data[:]
        table.ClearField("data_location")
        table.raw_data = raw
        assert model == whole_model

    def test_leaves_alone_what_is_not_aligned(self) -> None:
        names = ("table" + "x" * more for more in range(ALIGNMENT + 1))
        outlines = [outline(lookup(name=name), "nowhere") for name in names]
        assert None in outlines  # that one of 64 lies right is chance

    @pytest.mark.parametrize("change", [
        {"data_type": onnx.TensorProto.BFLOAT16}, {"dims": [1]}, {"dims": [-1, -WIDTH]}, {"dims": [1 << 62, 4]},
    ])  # fmt: skip
    def test_leaves_alone_what_numpy_would_not_see_as_it_is(self, change: dict[str, Any]) -> None:
        model = onnx.load_from_string(lookup())
        table = model.graph.initializer[1]
        for name, value in change.items():
            table.ClearField(name)
            table.MergeFrom(onnx.TensorProto(**{name: value}))
        assert outline(aligned(model.SerializeToString()), "nowhere") is None

    def test_refuses_what_is_no_graph(self) -> None:
        for wrong in (b"\x0f", b"\x3a\x05abc", b"\x3a\xff", b"\x80" * 40, b"\x09abc", bytes(3)):
            with pytest.raises(ValueError, match="byte|number|wire"):
                outline(wrong, "nowhere")


class TestSession:
    def test_reads_the_weights_from_the_file(self, tmp_path: Path) -> None:
        path, graph = tmp_path / "graph.onnx", aligned(lookup())
        path.write_bytes(graph)
        expected = np.arange(WIDTH) + np.arange(WIDTH, 2 * WIDTH) + 1
        session = Session(held(path), VARIANT, Setting())
        assert np.array_equal(session.run("sentence_embedding", np.array([[0, 1]]))[0], expected)
        # The rule against writing into a file in use has its reason: it is the file that counts.
        at = graph.index(np.float32([0, 1, 2]).tobytes())
        with path.open("r+b") as stream:
            stream.seek(at)
            stream.write(np.float32([5]).tobytes())
        assert session.run("sentence_embedding", np.array([[0, 1]]))[0, 0] == expected[0] + 5

    def test_needs_no_path(self, tmp_path: Path) -> None:
        path = tmp_path / "graph.onnx"
        path.write_bytes(aligned(lookup()))
        graph = held(path)
        assert graph.maps
        path.unlink()
        path.write_bytes(bytes(len(aligned(lookup()))))  # another file in its place
        for _ in range(2):
            session = Session(graph, VARIANT, Setting())
            rows = session.run("sentence_embedding", np.array([[0, 1]]))
            assert np.array_equal(rows[0], np.arange(WIDTH) + np.arange(WIDTH, 2 * WIDTH) + 1)

    def test_where_onnxruntime_does_not_take_the_outline_it_gets_all(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(_graph, "_NOWHERE", str(tmp_path / "gone"))
        expected = np.arange(WIDTH) + np.arange(WIDTH, 2 * WIDTH) + 1
        assert np.array_equal(vector(aligned(lookup()), [0, 1]), expected)

    def test_equals_a_graph_that_is_read_whole(self, tmp_path: Path) -> None:
        path = tmp_path / "mapped.onnx"
        path.write_bytes(aligned(lookup()))
        mapped = Session(held(path), VARIANT, Setting()).run("sentence_embedding", np.array([[3, 7, 7]]))
        unaligned = next(
            graph
            for graph in (lookup(name="table" + "x" * more) for more in range(ALIGNMENT))
            if outline(graph, "") is None
        )
        assert np.array_equal(mapped[0], vector(unaligned, [3, 7, 7]))

    @pytest.mark.parametrize("content", [b"", b"no graph", aligned(lookup())[:-1]])
    def test_a_damaged_graph(self, content: bytes) -> None:
        with pytest.raises(
            sestina.SestinaError, match="^graph.onnx (cannot be loaded on cpu|is not a graph)"
        ):
            vector(content, [1])

    @pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no account of kinds of memory here")
    @pytest.mark.parametrize(("prepare", "least", "most"), [(aligned, 0, 32), (bytes, 64, 1000)])
    def test_does_not_copy_the_weights(
        self, prepare: Callable[[bytes], bytes], least: int, most: int, tmp_path: Path
    ) -> None:
        path = tmp_path / "graph.onnx"
        graph = next(
            each
            for each in (lookup((64 << 20) // WIDTH // 4, "table" + "x" * more) for more in range(2))
            if places(each)[0].raw[0] % ALIGNMENT
        )
        path.write_bytes(prepare(graph))
        code = (
            "import numpy, re, sys; from pathlib import Path\n"
            "from sestina._session.session import Session, Setting; from sestina._bundle.manifest import *\n"
            "from sestina._bundle.files import open_plain; from sestina._bundle.graph import Graph\n"
            "from sestina._onnxruntime import onnxruntime; onnxruntime()\n"
            "def own(): return int(re.search(r'RssAnon:\\s+(\\d+)', "
            "open('/proc/self/status').read())[1]) >> 10\n"
            "ids = (TensorInfo('input_ids', 'int64', ('batch', 'length')),)\n"
            f"out = (TensorInfo('sentence_embedding', 'float32', ('batch', {WIDTH})),)\n"
            "variant = Variant(FileEntry('g', '', 1), 'cpu', 'fp32', 'dynamic', ids, out, {})\n"
            "before = own(); session = Session(Graph(open_plain(sys.argv[1]).map(), 'g'), variant, Setting())\n"
            "session.run('sentence_embedding', numpy.array([[1, 2]])); print(own() - before)"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True
        )
        assert least <= int(done.stdout) < most


def test_fields_are_read_as_they_are_written() -> None:
    content = [b"", b"a", b"b" * 127, b"c" * 128, b"d" * 70_000]
    message = b"".join(sized(number, each) for number, each in enumerate(content, 1)) + whole(99, 1 << 40)
    found = list(fields(message, 0, len(message)))
    assert [(field.number, message[field.value : field.end]) for field in found[:-1]] == list(
        enumerate(content, 1)
    )
    assert (found[-1].number, found[-1].end) == (99, len(message))
    assert [field.begin for field in found[1:]] == [field.end for field in found[:-1]]

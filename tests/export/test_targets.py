"""Variants for other targets than the CPU: whole, near PyTorch, and honest of where they did not run."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest

import sestina
from _made import EVERY_TARGET, KINDS, new_checkpoint
from _stored import WIDE
from _tiny import tiny_bpe, tiny_checkpoint, tiny_wordpiece
from sestina._bundle.bundle import Bundle
from sestina._bundle.goldens import read_goldens
from sestina_export import ExportError, GraphError, ParityError, QualityError, QualityGate, export
from sestina_export._build import build_graph
from sestina_export._forms.base import Float32Form
from sestina_export._forms.float16 import Float16Form
from sestina_export._graph.buckets import buckets_for, padded
from sestina_export._proof.parity import measure_padding, measure_shapes, open_graph, run_texts
from sestina_export._proof.quality import cosines
from sestina_export._variants import VARIANTS, VariantSpec, choose_specs

FILES = {
    "portable-fp32.onnx", "cuda-fp16.onnx", "qnn-a16w8.onnx", "webgpu-fp16.onnx", "mobile-cpu-int8.ort"
}  # fmt: skip


@pytest.fixture(scope="module")
def every(make_bundle: Callable[..., Path]) -> Path:
    """The tiny WordPiece checkpoint for every target but the CPU. Shared: do not write to it."""
    return make_bundle(targets=EVERY_TARGET)


def spec(target: str) -> VariantSpec:
    (found,) = (each for each in VARIANTS if each.target == target)
    return found


def variants(bundle: Path) -> dict[str, dict[str, Any]]:
    manifest = json.loads((bundle / "manifest.json").read_text())
    return {variant["file"]: variant for variant in manifest["variants"]}


def test_the_bundle_holds_what_was_asked_for(every: Path) -> None:
    assert set(variants(every)) == FILES
    listed = {path.name for path in every.iterdir()} - FILES
    assert listed == {
        "manifest.json", "tokenizer.json", "golden.json", "golden.npy", "LICENSE", "README.md",
        "mobile-cpu-int8.required_operators.config",
    }  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_portable_exports_every_kind_of_encoder(kind: str, tmp_path: Path) -> None:
    result = export(new_checkpoint(kind), tmp_path / "out.sestina", targets=["portable"])
    (variant,) = result.manifest.variants
    assert result.verification.passed
    assert 0 < result.verification.worst_error <= 1e-4
    assert variant.shapes == "static"
    assert [(tensor.name, tensor.dtype, tensor.shape) for tensor in variant.inputs] == [
        ("input_ids", "int32", ("batch", "length")),
        ("attention_mask", "int32", ("batch", "length")),
    ]
    assert "run" not in variant.parity  # it ran, on the CPU provider


def test_portable_pools_the_maximum_of_real_tokens(tmp_path: Path) -> None:
    checkpoint = tiny_checkpoint(tiny_wordpiece(), pooling="max", n_layers=1)
    result = export(checkpoint, tmp_path / "out.sestina", targets=["portable"])
    assert result.manifest.variants[0].parity["padded"]["sentence_embedding"] <= 1e-5


def test_portable_has_standard_operators_alone_and_one_shape(every: Path) -> None:
    graph = onnx.load(every / "portable-fp32.onnx")
    assert {node.domain for node in graph.graph.node} == {""}
    assert [(each.domain, each.version) for each in graph.opset_import] == [("", 20)]
    found = Counter(node.op_type for node in graph.graph.node)
    assert (found["Shape"], found["MatMul"], found["Softmax"]) == (1, 16, 2)
    assert not {"Where", "Expand", "ConstantOfShape", "Attention", "ReduceMean", "Div"} & set(found)


def test_portable_is_constant_but_for_the_layers_once_its_axes_are_fixed(every: Path, tmp_path: Path) -> None:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.add_free_dimension_override_by_name("batch", 1)
    options.add_free_dimension_override_by_name("length", 32)
    options.optimized_model_filepath = str(tmp_path / "fixed.onnx")
    session = onnxruntime.InferenceSession(every / "portable-fp32.onnx", options)
    assert [tensor.shape for tensor in session.get_inputs()] == [[1, 32], [1, 32]]
    operators = {node.op_type for node in onnx.load(tmp_path / "fixed.onnx").graph.node}
    assert not {"Shape", "Slice", "Concat"} & operators


def test_a_padded_text_is_its_unpadded_self(every: Path) -> None:
    checkpoint = tiny_checkpoint(tiny_wordpiece())
    session = open_graph((every / "portable-fp32.onnx").read_bytes())
    ids = checkpoint.tokenize(["the model embeds the text"])
    alone, wide = (run_texts(session, ids, 32, (length,)) for length in (len(ids[0]), 64))
    np.testing.assert_allclose(wide, alone, atol=1e-6)
    np.testing.assert_allclose(wide, checkpoint.encode(["the model embeds the text"]), atol=1e-5)
    unmasked = padded(ids[0], [64])
    unmasked["attention_mask"][:] = 1
    seen = session.run(["sentence_embedding"], unmasked)[0]
    assert np.abs(seen - alone).max() > 1e-2  # the mask is what does it


def test_a_mask_that_is_not_heeded_fails_parity(every: Path) -> None:
    """Negative control: the same graph with nothing added to the scores of padding."""
    graph = onnx.load(every / "portable-fp32.onnx")
    model = tiny_checkpoint(tiny_wordpiece()).model
    assert measure_padding(graph.SerializeToString(), model, 1e-5, "it")
    altered = 0
    for tensor in graph.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT and onnx.numpy_helper.to_array(tensor).min() == -1e4:
            tensor.CopyFrom(onnx.numpy_helper.from_array(np.float32(0), tensor.name))
            altered += 1
    assert altered == 1
    measure_shapes(graph.SerializeToString(), model, 1e-5, "it")  # without padding nothing is to be seen
    with pytest.raises(
        ParityError, match=r"it: sentence_embedding differs from PyTorch by [\d.e-]+ in a row"
    ):
        measure_padding(graph.SerializeToString(), model, 1e-5, "it")


def test_float16_is_float16_inside_and_float32_outside(every: Path) -> None:
    for file, table in (("cuda-fp16.onnx", 147 * 32), ("webgpu-fp16.onnx", 147 * 32)):
        graph = onnx.load(every / file).graph
        halves = [tensor for tensor in graph.initializer if tensor.data_type == onnx.TensorProto.FLOAT16]
        floats = [tensor for tensor in graph.initializer if tensor.data_type == onnx.TensorProto.FLOAT]
        assert max(np.prod(tensor.dims) for tensor in halves) == table
        assert all(np.prod(tensor.dims) <= 1 for tensor in floats)
        assert {value.type.tensor_type.elem_type for value in graph.output} == {onnx.TensorProto.FLOAT}
        # The last hidden states are turned back before they are pooled.
        pooled = [node for node in graph.node if "last_hidden_state" in node.input]
        assert pooled
        assert all(node.op_type != "Cast" for node in pooled)
    operators = {node.op_type for node in onnx.load(every / "cuda-fp16.onnx").graph.node}
    assert "MultiHeadAttention" in operators


@pytest.mark.parametrize("pooling", ["mean", "cls", "max"])
def test_float16_pools_in_every_way(pooling: Any, tmp_path: Path) -> None:
    checkpoint = tiny_checkpoint(tiny_bpe(), pooling=pooling, activation="relu", norm="pre", n_layers=1)
    result = export(checkpoint, tmp_path / "out.sestina", targets=["cuda", "webgpu"])
    for variant in result.manifest.variants:
        assert variant.parity["cosine"]["worst"] >= 0.999


def test_a_weight_beyond_float16_is_refused(tmp_path: Path) -> None:
    checkpoint = tiny_checkpoint(tiny_wordpiece())
    checkpoint.model.encoder.layers[0].feed_forward.inner.weight.data[0, 0] = 1e5
    with pytest.raises(GraphError, match=r"holds 1e\+05, and float16 nothing above 65504"):
        export(checkpoint, tmp_path / "out.sestina", targets=["cuda"])
    assert list(tmp_path.iterdir()) == []


def test_a_value_that_both_halves_read_is_cast_for_the_second() -> None:
    """Form by hand: the body's float16 value and the tail's float32 one have names of their own."""
    checkpoint = tiny_checkpoint(tiny_wordpiece())
    form = Float16Form(Float32Form())
    graph = build_graph(checkpoint.model, spec("cuda"), form, {"sestina": "0"})
    onnx.checker.check_model(graph, full_check=True)
    made = [name for node in graph.graph.node for name in node.output]
    assert len(made) == len(set(made))
    assert "last_hidden_state_fp16" in made


def test_where_a_variant_did_not_run_is_said_and_nothing_is_guessed(every: Path) -> None:
    for file, variant in variants(every).items():
        parity = variant["parity"]
        assert parity["goldens"]["texts"] >= 32
        if file in ("portable-fp32.onnx", "mobile-cpu-int8.ort"):
            assert "run" not in parity
            continue
        assert parity["run"] == "not run here"
        assert parity["reason"].endswith("the same graph was measured on CPUExecutionProvider")
        assert parity["cosine"]["worst"] >= parity["cosine"]["gate"]["worst"] >= 0.99
        assert parity["goldens"]["worst"] <= parity["tolerance"]


def test_buckets_hold_every_text(every: Path) -> None:
    for variant in variants(every).values():
        if variant["shapes"] == "static":
            assert variant["buckets"] == ([32, 64] if variant["target"] == "qnn" else [16, 32, 64])
        else:
            assert "buckets" not in variant
    assert buckets_for(256) == (16, 32, 64, 128, 256)
    assert buckets_for(50) == (16, 32, 50)
    assert buckets_for(256, 32) == (32, 64, 128, 256)
    assert buckets_for(20, 32) == (20,)
    assert buckets_for(16) == (16,)
    assert buckets_for(3) == (3,)
    feed = padded([5, 6, 7], (2, 4))
    assert feed["input_ids"].tolist() == [[5, 6, 7, 0]]
    assert feed["attention_mask"].tolist() == [[1, 1, 1, 0]]
    with pytest.raises(ValueError, match=r"5 tokens does not fit the buckets \(2, 4\)"):
        padded([1] * 5, (2, 4))


def test_mobile_cpu_gives_what_the_cpu_gives(every: Path, bundle: Path) -> None:
    """The .ort file is the int8 graph in another container: bit-equal vectors, the goldens among them."""
    checkpoint = tiny_checkpoint(tiny_wordpiece())
    ids = [list(golden.ids) for golden in read_goldens(Bundle(every))]
    small, plain = (
        run_texts(open_graph(path.read_bytes()), ids, 32)
        for path in (every / "mobile-cpu-int8.ort", bundle / "cpu-int8.onnx")
    )
    assert small.any()
    assert np.array_equal(small, plain)
    reference = checkpoint.encode([golden.text for golden in read_goldens(Bundle(every))])
    assert np.median(cosines(small, reference)) > 0.99
    config = (every / "mobile-cpu-int8.required_operators.config").read_text()
    domains = {line.split(";")[0] for line in config.splitlines()}
    assert domains == {"ai.onnx", "com.microsoft"}
    needed = {name for line in config.splitlines() for name in line.split(";")[2].split(",")}
    assert {"MatMulIntegerToFloat", "MultiHeadAttention", "LayerNormalization"} <= needed


def test_same_input_gives_the_same_bytes(every: Path, tmp_path: Path) -> None:
    """All but the .ort file: onnxruntime writes its tables in the order of a hash with a random seed.

    What lies between them for alignment differs with the order, so its size does by some bytes as well.
    """
    again = export(tiny_checkpoint(tiny_wordpiece()), tmp_path / "again.sestina", targets=EVERY_TARGET).path
    manifests = [json.loads((each / "manifest.json").read_text()) for each in (every, again)]
    for manifest in manifests:
        files = [entry for entry in manifest["variants"] if entry["file"].endswith(".ort")]
        assert len(files) == 1
        del files[0]["sha256"], files[0]["bytes"]
    assert manifests[0] == manifests[1]
    for path in sorted(every.iterdir()):
        first, second = (each / path.name for each in (every, again))
        if path.suffix == ".ort":
            assert abs(first.stat().st_size - second.stat().st_size) < 256
            graphs = [ort.InferenceSession(each).get_inputs() for each in (first, second)]
            assert [node.name for node in graphs[0]] == [node.name for node in graphs[1]]
        elif path.name != "manifest.json":
            assert first.read_bytes() == second.read_bytes(), path.name


def test_targets_beside_the_cpu_load_as_ever(make_bundle: Callable[..., Path]) -> None:
    path = make_bundle(targets=("cpu", "portable"), **WIDE)  # which tests of other kinds read, too
    assert [variant["target"] for variant in variants(path).values()] == ["cpu", "cpu", "portable"]
    with sestina.load(path, precision="fp32") as encoder:
        assert encoder.verify().passed


def test_a_gate_that_is_missed_leaves_no_bundle(tmp_path: Path) -> None:
    checkpoint = tiny_checkpoint(tiny_wordpiece(), n_layers=1)
    with pytest.raises(QualityError, match=r"cuda-fp16\.onnx: the mean cosine to PyTorch over \d+ texts is"):
        export(checkpoint, tmp_path / "out.sestina", targets=["cuda"], gate=QualityGate(mean=1.0))
    assert list(tmp_path.iterdir()) == []


class TestArguments:
    def test_unknown_targets_and_precisions_are_named(self) -> None:
        with pytest.raises(ExportError, match=r"target is 'tpu'; it must be one of cpu, portable, cuda, qnn"):
            choose_specs(None, ["tpu"])
        with pytest.raises(ExportError, match=r"targets is a str; put it in a list: targets=\['cuda'\]"):
            choose_specs(None, "cuda")
        with pytest.raises(ExportError, match=r"precision is 'int8'; it must be one of fp16, fp32"):
            choose_specs(["int8"], ["portable", "cuda"])
        with pytest.raises(ExportError, match="target cuda has no variant in fp32; it has fp16"):
            choose_specs(["fp32"], ["portable", "cuda"])
        with pytest.raises(ExportError, match="target is None; it must be one of"):
            choose_specs(None, [])

    def test_the_default_is_the_cpu(self) -> None:
        assert {each.target for each in choose_specs(None)} == {"cpu"}
        assert [each.file for each in choose_specs(["fp16"], ["cuda", "cuda"])] == ["cuda-fp16.onnx"]

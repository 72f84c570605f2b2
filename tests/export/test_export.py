"""A checkpoint becomes a bundle that is proved before it appears."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from tokenizers.normalizers import BertNormalizer

import sestina
from _made import KINDS, new_checkpoint
from _tiny import tiny_bpe, tiny_checkpoint, tiny_wordpiece
from sestina_export import ExportError, ExportResult, GraphError, ParityError, _export, export
from sestina_export import _build as _graph
from sestina_export._forms.base import Float32Form, written_as
from sestina_export._forms.linears import layer_linears
from sestina_export._proof import parity as _parity
from sestina_export._variants import CPU_FP32
from sestina_model import checkpoint as checkpoints
from sestina_model.config import HeadConfig
from sestina_model.encoder import dot_product_attention


def files_of(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


@pytest.fixture(scope="module", params=KINDS)
def exported(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, ExportResult]:
    """The kind, and its checkpoint exported in this process."""
    path = tmp_path_factory.mktemp("exported") / "out.sestina"
    return request.param, export(new_checkpoint(request.param), path)


def test_every_tokenizer_kind_and_encoder_choice_exports(exported: tuple[str, ExportResult]) -> None:
    kind, result = exported
    checkpoint = new_checkpoint(kind)
    assert result.verification.passed
    assert result.path.name == "out.sestina"
    with sestina.load(result.path, precision="fp32") as encoder:
        texts = ["the transformer is a model", "a", "naïve 注意力 👩‍👩‍👧‍👦", ""]
        np.testing.assert_allclose(encoder.encode(texts), checkpoint.encode(texts), atol=1e-5)
        assert [list(encoder.tokenize(text).ids) for text in texts] == checkpoint.tokenize(texts)


def test_same_input_gives_the_same_bytes(
    exported: tuple[str, ExportResult], make_bundle: Callable[..., Path]
) -> None:
    kind, result = exported
    assert files_of(result.path) == files_of(make_bundle(kind))


def test_bundle_holds_what_its_manifest_lists_and_nothing_else(bundle: Path) -> None:
    manifest = json.loads((bundle / "manifest.json").read_text())
    listed = [entry["file"] for entry in manifest["files"] + manifest["variants"]]
    assert sorted([*listed, "manifest.json"]) == sorted(path.name for path in bundle.iterdir())
    assert set(listed) == {
        "tokenizer.json", "golden.json", "golden.npy", "LICENSE", "README.md", "cpu-fp32.onnx",
        "cpu-int8.onnx",
    }  # fmt: skip
    for entry in manifest["files"] + manifest["variants"]:
        content = (bundle / entry["file"]).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (entry["bytes"], entry["sha256"])
    assert manifest["contract"] == {
        "max_tokens": 64, "pooling": "mean", "normalize": True, "dimensions": 32,
    }  # fmt: skip
    assert manifest["licence"] == "apache-2.0"
    assert manifest["provenance"]["torch"] == torch.__version__


def test_graph_is_checked_named_and_dynamic(bundle: Path) -> None:
    graph = onnx.load(bundle / "cpu-fp32.onnx")
    onnx.checker.check_model(graph, full_check=True)
    inputs, outputs = _graph.interface(graph)
    assert [(tensor.name, tensor.dtype, tensor.shape) for tensor in inputs] == [
        ("input_ids", "int64", ("batch", "length"))
    ]
    assert [(tensor.name, tensor.shape) for tensor in outputs] == [
        ("sentence_embedding", ("batch", 32)),
        ("last_hidden_state", ("batch", "length", 32)),
    ]
    properties = {item.key: item.value for item in graph.metadata_props}
    assert properties["sestina.torch"] == torch.__version__
    assert graph.producer_name == "sestina"


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_what_feeds_attention_is_named_and_stays_inside(precision: str, bundle: Path) -> None:
    graph = onnx.load(bundle / f"cpu-{precision}.onnx").graph
    fed = [tuple(node.input[:2]) for node in graph.node if node.op_type == "MultiHeadAttention"]
    assert fed == [(f"layers.{layer}.query", f"layers.{layer}.key") for layer in range(2)]
    given = [value for node in graph.node for value in node.output]
    assert all(given.count(name) == 1 for pair in fed for name in pair)
    assert [value.name for value in graph.output] == list(_graph.OUTPUTS)


def test_attention_that_is_fed_under_other_names_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def swap(model: onnx.ModelProto) -> None:
        for node in model.graph.node:
            if node.op_type == "MultiHeadAttention":
                node.input[0], node.input[1] = node.input[1], node.input[0]

    spec = replace(CPU_FP32, passes=(*CPU_FP32.passes, swap))
    monkeypatch.setattr(_export, "choose_specs", lambda *_: (spec,))
    with pytest.raises(GraphError, match=r"cpu-fp32\.onnx feeds its attention with .*; it must be with"):
        export(tiny_checkpoint(tiny_wordpiece()), tmp_path / "out.sestina")
    assert list(tmp_path.iterdir()) == []


def test_graph_tells_nothing_of_the_exporting_machine(bundle: Path) -> None:
    content = (bundle / "cpu-fp32.onnx").read_bytes()
    for trace in (b"site-packages", b".py", b"stack_trace", str(Path.home()).encode() + b"/"):
        assert trace not in content


def test_parity_is_measured_at_untraced_shapes_and_stated(bundle: Path) -> None:
    parity = json.loads((bundle / "manifest.json").read_text())["variants"][1]["parity"]
    shapes = {(row["batch"], row["length"]) for row in parity["shapes"]}
    assert shapes == {(batch, length) for batch in (1, 2, 5) for length in (1, 2, 7, 31, 63, 64)}
    assert _graph.traced_shape(tiny_checkpoint(tiny_wordpiece()).model.encoder.config) not in shapes
    for output in ("sentence_embedding", "last_hidden_state"):
        worst = max(row[output] for row in parity["shapes"])
        assert 0 < worst <= 1e-5
        assert parity["worst"][output] == worst
    assert parity["goldens"]["texts"] >= 32


def test_another_process_gives_the_same_bytes(bundle: Path, tmp_path: Path) -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import _tiny; _tiny.tiny_bundle(_tiny.Path(sys.argv[2]))\n"
    )
    tests = Path(__file__).parents[1]
    environment = {**os.environ, "PYTHONHASHSEED": "12345"}
    subprocess.run(
        [sys.executable, "-c", code, str(tests), str(tmp_path / "other.sestina")], check=True, env=environment
    )
    assert files_of(tmp_path / "other.sestina") == files_of(bundle)


def test_space_depends_on_weights_tokenizer_and_contract_alone(tmp_path: Path) -> None:
    base = tiny_checkpoint(tiny_wordpiece())
    tokenizer = tiny_wordpiece()
    tokenizer.normalizer = BertNormalizer(lowercase=False)
    spaces = [
        _export.space_of(checkpoint)
        for checkpoint in (
            base,
            tiny_checkpoint(tiny_wordpiece(), seed=1),
            tiny_checkpoint(tiny_wordpiece(), pooling="cls"),
            tiny_checkpoint(tiny_wordpiece(), max_tokens=63),
            replace(base, tokenizer=tokenizer),
        )
    ]
    assert len(set(spaces)) == 5
    assert _export.space_of(replace(base, name="renamed", licence="mit")) == spaces[0]


def test_a_module_with_its_tokenizer_is_a_source(tmp_path: Path) -> None:
    checkpoint = tiny_checkpoint(tiny_wordpiece())
    encoder = checkpoint.model.encoder
    head = HeadConfig(max_tokens=64)
    options = {"name": "mine", "precisions": ["fp32"]}
    result = export(encoder, tmp_path / "a", tokenizer=tiny_wordpiece(), head=head, **options)
    assert result.manifest.name == "mine"
    assert result.manifest.space == _export.space_of(checkpoint)
    with pytest.raises(ExportError, match="a module needs its tokenizer"):
        export(encoder, tmp_path / "b")
    with pytest.raises(ExportError, match="has a tokenizer of its own"):
        export(checkpoint, tmp_path / "b", tokenizer=tiny_wordpiece())
    with pytest.raises(ExportError, match="has a head of its own"):
        export(checkpoint, tmp_path / "b", head=HeadConfig())


def test_a_checkpoint_folder_is_a_source(bundle: Path, tmp_path: Path) -> None:
    checkpoints.save(tiny_checkpoint(tiny_wordpiece()), tmp_path / "saved")
    options = {"name": "renamed", "licence": "mit", "precisions": ["fp32"]}
    result = export(tmp_path / "saved", tmp_path / "out.sestina", **options)
    assert result.manifest.space == json.loads((bundle / "manifest.json").read_text())["space"]
    assert (result.manifest.name, result.manifest.licence) == ("renamed", "mit")
    assert result.manifest.provenance["source_sha256"] == checkpoints.load(tmp_path / "saved").source_sha256


def test_what_is_there_already_is_kept_unless_it_may_be_replaced(own_bundle: Path, tmp_path: Path) -> None:
    other = tiny_checkpoint(tiny_wordpiece(), seed=5)
    before = files_of(own_bundle)
    with pytest.raises(ExportError, match=r"own\.sestina exists: name another directory, or pass overwrite"):
        export(other, own_bundle)
    assert files_of(own_bundle) == before
    export(other, own_bundle, overwrite=True, precisions=["fp32"])
    assert files_of(own_bundle) != before
    assert [path.name for path in tmp_path.iterdir()] == ["own.sestina"]
    (tmp_path / "precious").mkdir()
    with pytest.raises(ExportError, match="precious exists and is not a bundle"):
        export(other, tmp_path / "precious", overwrite=True)
    (tmp_path / "file").write_text("kept")
    with pytest.raises(ExportError, match="file is not a directory"):
        export(other, tmp_path / "file" / "out.sestina")


def test_wrong_values_leave_no_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control of the parity measurement: a graph whose attention swaps keys and values."""

    class Swapped(Float32Form):
        def linear(self, path: str, linear: torch.nn.Linear) -> torch.nn.Module:
            other = path.replace("key", "value") if "key" in path else path.replace("value", "key")
            return linears.get(other, linear)

    checkpoint = tiny_checkpoint(tiny_wordpiece())
    linears = layer_linears(checkpoint.model)
    monkeypatch.setattr(_export, "choose_specs", lambda *_: (replace(CPU_FP32, form=lambda *_: Swapped()),))
    with pytest.raises(
        ParityError,
        match=r"cpu-fp32\.onnx: sentence_embedding differs from PyTorch by [\d.e-]+ at batch \d+, length \d+; "
        r"the tolerance is 1e-05",
    ):
        export(checkpoint, tmp_path / "out.sestina")
    assert list(tmp_path.iterdir()) == []


def test_one_altered_weight_fails_parity(bundle: Path) -> None:
    graph = onnx.load(bundle / "cpu-fp32.onnx")
    model = tiny_checkpoint(tiny_wordpiece()).model
    assert _parity.measure_shapes(graph.SerializeToString(), model, 1e-5, "it")
    weight = next(
        tensor for tensor in graph.graph.initializer if len(tensor.dims) == 2 and tensor.dims[0] == 32
    )
    values = onnx.numpy_helper.to_array(weight).copy()
    values[3, 4] = -values[3, 4] - 0.5
    weight.CopyFrom(onnx.numpy_helper.from_array(values, weight.name))
    with pytest.raises(ParityError, match=r"it: .* differs from PyTorch by"):
        _parity.measure_shapes(graph.SerializeToString(), model, 1e-5, "it")


def test_a_layer_that_came_out_otherwise_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Unfused(Float32Form):
        def linear(self, path: str, linear: torch.nn.Linear) -> torch.nn.Module:
            return Product(linear) if path == "1.attention.key" else linear

    class Product(torch.nn.Module):
        def __init__(self, linear: torch.nn.Linear) -> None:
            super().__init__()
            self.inner = linear

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return (x * 1.0) @ self.inner.weight.T + self.inner.bias

    monkeypatch.setattr(_export, "choose_specs", lambda *_: (replace(CPU_FP32, form=lambda *_: Unfused()),))
    with pytest.raises(GraphError, match=r"cpu-fp32\.onnx has 11 Gemm nodes where its 2 layers must give 12"):
        export(tiny_checkpoint(tiny_wordpiece()), tmp_path / "out.sestina")
    assert list(tmp_path.iterdir()) == []


def test_goldens_that_the_runtime_does_not_reproduce_leave_no_bundle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lie(checkpoint: checkpoints.Checkpoint, folder: Path) -> None:
        honest(checkpoint, folder)
        vectors = np.load(folder / "golden.npy")
        vectors[4] = -vectors[4]
        np.save(folder / "golden.npy", vectors)

    honest = _export.write_goldens
    monkeypatch.setattr(_export, "write_goldens", lie)
    with pytest.raises(ParityError, match="golden 'sentence' differs from PyTorch by"):
        export(tiny_checkpoint(tiny_wordpiece()), tmp_path / "out.sestina", precisions=["fp32"])
    assert list(tmp_path.iterdir()) == []


def test_what_is_left_out_of_a_checkpoint_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_export, "_made", lambda *_, **__: "made")
    said: list[str] = []
    checkpoint = replace(new_checkpoint(), notes=("folder: 1 tensors are left out: pooler.weight",))
    assert export(checkpoint, tmp_path / "out.sestina", progress=said.append) == "made"
    assert said[:2] == ["reading the checkpoint", "folder: 1 tensors are left out: pooler.weight"]


def test_a_killed_export_leaves_the_old_bundle(own_bundle: Path, tmp_path: Path) -> None:
    before = files_of(own_bundle)
    code = (
        "import sys, os, signal; sys.path.insert(0, sys.argv[1])\n"
        "import _tiny; from sestina_export import export\n"
        "def say(step):\n"
        "    if step.startswith('making goldens'): os.kill(os.getpid(), signal.SIGKILL)\n"
        "other = _tiny.tiny_checkpoint(_tiny.tiny_wordpiece(), seed=9)\n"
        "export(other, sys.argv[2], overwrite=True, precisions=['fp32'], progress=say)\n"
    )
    tests = Path(__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", code, str(tests), str(own_bundle)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert files_of(own_bundle) == before
    assert all(path.name.startswith(".") for path in tmp_path.iterdir() if path != own_bundle)
    with sestina.load(own_bundle) as encoder:
        assert encoder.verify().passed


def test_the_model_is_whole_again_after_tracing() -> None:
    model = tiny_checkpoint(tiny_bpe(), scale_embeddings=True).model
    before = [id(part) for part in (*model.modules(), *model.parameters())]
    with written_as(Float32Form(), model) as traced:
        assert [layer.attention.core for layer in model.encoder.layers] == [traced.attention] * 2
        assert model.encoder.embedding_scale == 1.0
    assert [id(part) for part in (*model.modules(), *model.parameters())] == before
    assert [layer.attention.core for layer in model.encoder.layers] == [dot_product_attention] * 2
    assert model.encoder.embedding_scale == 32**0.5


def test_what_onnxruntime_says_is_said_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from onnxruntime.capi.onnxruntime_pybind11_state import InvalidArgument

    from sestina_export import _produce

    def failing(*_: object) -> None:
        raise InvalidArgument("head_size must be\na multiple of 8")

    monkeypatch.setattr(_produce, "measure_shapes", failing)
    with pytest.raises(
        GraphError, match="^cpu-fp32.onnx cannot be run by onnxruntime: head_size must be a mul"
    ):
        export(new_checkpoint(), tmp_path / "out.sestina", precisions=["fp32"])
    assert not list(tmp_path.iterdir())

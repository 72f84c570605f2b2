"""Int8 that is exact on every processor, near PyTorch, and refused where it is not."""

from __future__ import annotations

import json
import weakref
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

import sestina
from _families import family_checkpoint
from _tiny import LINES, TEXTS, tiny_bpe, tiny_checkpoint, tiny_wordpiece
from sestina_export import ExportError, QualityError, QualityGate, export
from sestina_export._forms.linears import layer_linears
from sestina_export._proof.quality import cosines
from sestina_export._quantise.calibrate import calibrate, default_texts, split_texts
from sestina_export._quantise.int8 import Int8Form, Int8Linear
from sestina_export._quantise.rounding import column_scales, pairs_are_safe, round_to_int8
from sestina_model.checkpoint import Checkpoint


def random_weight(k: int, n: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(k, n, generator=generator)
    weight[:, 0] *= 100.0
    weight[:2, 1] = 9.0  # a pair of large weights of one sign
    weight[:, 2] = 0.0
    return weight


def vpmaddubsw(activations: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The AVX2 instruction: products of unsigned and signed bytes, added in pairs with 16-bit saturation."""
    products = activations.astype(np.int64)[:, None] * weights.astype(np.int64)
    return np.clip(products[0::2] + products[1::2], -(2**15), 2**15 - 1)


@pytest.mark.parametrize("k", [2, 7, 64, 129, 300])
def test_no_activation_can_saturate_avx2(k: int) -> None:
    weight = random_weight(k, 24, k)
    integers = round_to_int8(weight, column_scales(weight), torch.eye(k))
    assert pairs_are_safe(integers)
    padded = np.pad(integers.numpy(), ((0, k % 2), (0, 0)))
    for activations in (np.full(len(padded), 255), np.random.default_rng(k).integers(0, 256, len(padded))):
        exact = (activations[:, None].astype(np.int64) * padded).sum(0)
        assert np.array_equal(vpmaddubsw(activations, padded).sum(0), exact)


def test_the_saturation_check_can_fail() -> None:
    """Negative control: plain 8-bit rounding saturates on the same weights."""
    weight = random_weight(64, 24, 64)
    plain = (weight / (weight.abs().amax(0) / 127).clamp(min=1e-9)).round().to(torch.int8)
    assert not pairs_are_safe(plain)
    activations = np.full(64, 255)
    exact = (activations[:, None] * plain.numpy().astype(np.int64)).sum(0)
    assert not np.array_equal(vpmaddubsw(activations, plain.numpy()).sum(0), exact)


def test_pairs_cost_less_than_a_bit() -> None:
    """Safe pairs keep more levels than 7-bit weights, which are the usual way to avoid saturation."""
    weight = torch.randn(384, 384, generator=torch.Generator().manual_seed(1))
    seven_bit = weight.abs().amax(0) / 63
    assert (column_scales(weight) / seven_bit).mean() < 0.8


def test_rounding_looks_at_the_inputs() -> None:
    """Products with correlated inputs come out nearer than with the nearest integers."""
    generator = torch.Generator().manual_seed(3)
    weight = torch.randn(64, 32, generator=generator)
    inputs = torch.randn(500, 8, generator=generator) @ torch.randn(8, 64, generator=generator)
    inputs += 0.1 * torch.randn(500, 64, generator=generator)
    scales = column_scales(weight)
    nearest = (weight / scales).round() * scales
    ours = round_to_int8(weight, scales, inputs.T @ inputs) * scales
    exact = inputs @ weight
    assert (inputs @ ours - exact).norm() < 0.6 * (inputs @ nearest - exact).norm()


def test_query_key_and_value_share_one_quantised_input(bundle: Path) -> None:
    graph = onnx.load(bundle / "cpu-int8.onnx").graph
    operators = [node.op_type for node in graph.node]
    assert operators.count("QuantizeLinear") == 4 * 2
    assert operators.count("MatMulIntegerToFloat") == 6 * 2
    assert operators.count("DynamicQuantizeLinear") == 0
    for tensor in graph.initializer:
        if tensor.data_type == onnx.TensorProto.INT8 and not tensor.name.endswith(".rows"):  # of a table
            assert pairs_are_safe(torch.from_numpy(onnx.numpy_helper.to_array(tensor).copy()))


def test_every_scale_is_a_constant(bundle: Path) -> None:
    graph = onnx.load(bundle / "cpu-int8.onnx").graph
    constants = {tensor.name for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "QuantizeLinear":
            assert set(node.input[1:]) <= constants


@pytest.mark.parametrize("norm", ["post", "pre"])
@pytest.mark.parametrize("activation, multiplied", [("relu", 2), ("gelu", 3)])
def test_after_relu_evening_out_is_free(norm: str, activation: str, multiplied: int, tmp_path: Path) -> None:
    checkpoint = tiny_checkpoint(
        tiny_bpe(), activation=activation, norm=norm, positions="sinusoidal", scale_embeddings=True
    )
    result = export(checkpoint, tmp_path / "out.sestina", precisions=["int8"])
    graph = onnx.load(result.path / "cpu-int8.onnx").graph
    tables = 2  # the scales of tokens and positions
    assert [node.op_type for node in graph.node].count("Mul") == multiplied * 2 + tables
    with sestina.load(result.path) as encoder:
        vectors = encoder.encode(TEXTS, on_truncate="ignore")
    assert cosines(vectors, checkpoint.encode(TEXTS)).min() > 0.95


def test_quality_is_measured_on_text_held_back_and_stated(bundle: Path) -> None:
    parity = json.loads((bundle / "manifest.json").read_text())["variants"][0]["parity"]
    used, held_back = split_texts(default_texts())
    assert parity["calibration"]["texts"] == len(used)
    assert parity["cosine"]["texts"] == len(held_back)
    assert not set(used) & set(held_back)
    assert (
        0.98
        < parity["cosine"]["worst"]
        <= parity["cosine"]["first_percentile"]
        <= parity["cosine"]["mean"]
        < 1
    )
    assert parity["cosine"]["gate"] == {"mean": 0.99, "first_percentile": 0.98, "worst": 0.95}


def test_a_variant_that_misses_its_gate_is_not_written(tmp_path: Path) -> None:
    checkpoint = tiny_checkpoint(tiny_wordpiece(), n_layers=1)
    strict = QualityGate(mean=0.99999)
    with pytest.raises(
        QualityError,
        match=r"cpu-int8\.onnx: the mean cosine to PyTorch over \d+ texts is 0\.99\d+, below the gate of 0\.99999",
    ):
        export(checkpoint, tmp_path / "out.sestina", precisions=["int8"], gate=strict)
    assert list(tmp_path.iterdir()) == []
    result = export(checkpoint, tmp_path / "out.sestina", gate=strict)
    assert [variant.precision for variant in result.manifest.variants] == ["fp32"]
    assert len(result.refused) == 1
    assert "below the gate" in result.refused[0]
    assert not (result.path / "cpu-int8.onnx").exists()


def with_an_outlier() -> Checkpoint:
    """Two hidden units that answer ten times too strongly: one scale leaves the others few steps."""
    checkpoint = family_checkpoint("qwen3", n_layers=4)
    with torch.no_grad():
        for layer in checkpoint.model.encoder.layers[1:3]:
            layer.feed_forward.inner.weight[3] *= 30
            layer.feed_forward.gate.weight[3] *= 5
    return checkpoint


def test_what_int8_serves_worst_stays_in_float32(bundle: Path, tmp_path: Path) -> None:
    """Where all in int8 misses the gate, and only then; the manifest says which products."""
    checkpoint, said = with_an_outlier(), list[str]()
    gate = QualityGate(mean=0.988, first_percentile=0.9, worst=0.85)
    result = export(
        checkpoint, tmp_path / "out.sestina", precisions=["int8"], gate=gate, progress=said.append
    )
    assert "cpu-int8.onnx missed its gate: keeping more of it in float32" in said
    parity = result.manifest.variants[0].parity
    assert parity["kept_in_float32"] == ["layers.1.feed_forward.output", "layers.2.feed_forward.output"]
    assert parity["bit_equal_batches"] == [2, 5]
    operators = [node.op_type for node in onnx.load(result.path / "cpu-int8.onnx").graph.node]
    assert (operators.count("Gemm"), operators.count("MatMulIntegerToFloat")) == (2, 7 * 4 - 2)
    plain = json.loads((bundle / "manifest.json").read_text())["variants"][0]
    assert plain["precision"] == "int8"
    assert "kept_in_float32" not in plain["parity"]


def test_hessians_are_let_go_once_their_maps_are_rounded() -> None:
    """Those of a large encoder are as large as its maps; a form that keeps products needs none."""
    checkpoint = tiny_checkpoint(tiny_wordpiece())
    linears = layer_linears(checkpoint.model)
    statistics = calibrate(checkpoint, list(TEXTS[:6]))
    hessians = [weakref.ref(each.hessian) for each in statistics.values()]
    form = Int8Form(checkpoint.model.encoder.config, statistics, linears)
    del statistics
    assert all(hessian() is not None for hessian in hessians)
    first = {path: form.linear(path, linear) for path, linear in linears.items()}
    assert all(hessian() is None for hessian in hessians)
    kept = form.keeping(["1.feed_forward.output"])
    for path, linear in linears.items():
        again = kept.linear(path, linear)
        if path == "1.feed_forward.output":
            assert again is linear
        else:
            assert isinstance(again, Int8Linear)
            assert again.integers is first[path].integers
    assert not form.kept


def test_calibration_is_the_callers_to_choose(tmp_path: Path) -> None:
    checkpoint = tiny_checkpoint(tiny_wordpiece())
    texts = [f"{line} {number}" for number in range(12) for line in LINES]
    result = export(checkpoint, tmp_path / "out.sestina", precisions=["int8"], calibration=texts)
    assert result.manifest.variants[0].parity["calibration"]["texts"] == 40
    with pytest.raises(ExportError, match="31 calibration texts are too few; give at least 32"):
        export(checkpoint, tmp_path / "no.sestina", calibration=texts[:31])


def test_precisions_and_gates_that_do_not_exist(tmp_path: Path) -> None:
    checkpoint = tiny_checkpoint(tiny_wordpiece())
    with pytest.raises(ExportError, match="precision is 'fp8'; it must be one of fp32, int8"):
        export(checkpoint, tmp_path / "no", precisions=["fp8"])
    with pytest.raises(ExportError, match="precision is None; it must be one of fp32, int8"):
        export(checkpoint, tmp_path / "no", precisions=[])
    with pytest.raises(ExportError, match="the gate's worst is 2; it must be a cosine from -1 to 1"):
        QualityGate(worst=2)


def test_statistics_are_those_of_the_inputs() -> None:
    checkpoint = tiny_checkpoint(tiny_wordpiece())
    texts = list(TEXTS[:6])
    statistics = calibrate(checkpoint, texts)
    assert len(statistics) == 12
    assert statistics["0.attention.key"] is statistics["0.attention.query"]
    seen = []
    linear = checkpoint.model.encoder.layers[1].feed_forward.inner
    hook = linear.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0][0]))
    checkpoint.encode(texts)
    hook.remove()
    rows = torch.cat(seen)
    mine = statistics["1.feed_forward.inner"]
    torch.testing.assert_close(mine.low, rows.amin(0))
    torch.testing.assert_close(mine.high, rows.amax(0))
    torch.testing.assert_close(mine.hessian, rows.T @ rows, rtol=1e-4, atol=1e-3)


def test_cosines_know_zero_and_nonsense() -> None:
    a = np.array([[1, 0], [0, 0], [0, 0], [np.nan, 1], [1, 1]], dtype=np.float32)
    b = np.array([[-2, 0], [0, 0], [1, 0], [1, 1], [1, 0]], dtype=np.float32)
    got = cosines(a, b)
    assert got[:3].tolist() == [-1.0, 1.0, 0.0]
    assert np.isnan(got[3])
    assert got[4] == pytest.approx(0.5**0.5)


def test_an_altered_integer_is_noticed(bundle: Path, tmp_path: Path) -> None:
    """Negative control of the golden tolerance: one large change in one int8 matrix."""
    import hashlib
    import shutil

    own = shutil.copytree(bundle, tmp_path / "own.sestina")
    model = onnx.load(own / "cpu-int8.onnx")
    tensor = next(
        each
        for each in model.graph.initializer
        if each.data_type == onnx.TensorProto.INT8 and len(each.dims) == 2 and "tokens" not in each.name
    )
    values = onnx.numpy_helper.to_array(tensor).copy()
    values[:, :8] = -values[:, :8]
    tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
    content = model.SerializeToString()
    (own / "cpu-int8.onnx").write_bytes(content)
    manifest = json.loads((own / "manifest.json").read_text())
    manifest["variants"][0].update(sha256=hashlib.sha256(content).hexdigest(), bytes=len(content))
    (own / "manifest.json").write_text(json.dumps(manifest))
    with sestina.load(own, precision="int8") as encoder:
        assert not encoder.verify().passed


def test_the_base_preset_is_quantised_too(tmp_path: Path) -> None:
    """Sinusoidal, scaled, ReLU, post-norm: every layer comes out as its form promises, and bit-equal."""
    checkpoint = replace(
        tiny_checkpoint(
            tiny_bpe(),
            activation="relu",
            positions="sinusoidal",
            scale_embeddings=True,
            norm_embeddings=False,
            n_layers=6,
        ),
        name="base",
    )
    result = export(checkpoint, tmp_path / "base.sestina", precisions=["int8"])
    with sestina.load(result.path, precision="int8") as encoder:
        together = encoder.encode(list(LINES))
        assert np.array_equal(together, np.array([encoder.encode(line) for line in LINES]))

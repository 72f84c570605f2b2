"""Graphs beyond protobuf's limit, with the limit lowered: the same vectors from weights in a file of their own."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

import sestina
from _stored import WIDE
from _tiny import tiny_checkpoint, tiny_wordpiece
from sestina._bundle.bundle import Bundle
from sestina._bundle.mapped import ALIGNMENT, LEAST_MAPPED
from sestina._bundle.states_part import states_part
from sestina._session.buckets import open_on_cpu
from sestina_export import ExportError, GraphError, QualityGate, check, export
from sestina_export._graph import weights as _weights
from sestina_export._proof.shapes import parity_shapes
from sestina_export._target import replaceable
from sestina_model.checkpoint import Checkpoint
from sestina_model.config import EncoderConfig

TEXTS = ["the transformer", "attention relates the tokens", "a sestina", "the model"]
LIMIT = 1 << 20  # bytes; the float32 weights have 1.6 MB, the float16 ones 0.8 MB


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    return tiny_checkpoint(tiny_wordpiece(), **WIDE)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def lowered() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_weights, "LARGEST_INLINE", LIMIT)
        patch.setattr(_weights, "_ROOM", 1 << 16)
        yield


@pytest.fixture(scope="module")
def inline(make_bundle: Callable[..., Path]) -> Path:
    return make_bundle(targets=("cpu", "portable"), **WIDE)


@pytest.fixture(scope="module")
def large(
    inline: Path,  # made before the limit is lowered
    lowered: None,
    checkpoint: Checkpoint,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    path = tmp_path_factory.mktemp("large") / "large.sestina"
    targets = ["cpu", "portable", "webgpu"]
    return export(checkpoint, path, targets=targets, precisions=["fp32", "fp16"]).path


def test_holds_what_it_lists(large: Path, inline: Path) -> None:
    manifest = Bundle(large).manifest
    assert json.loads((large / "manifest.json").read_text())["format_version"] == 2
    assert json.loads((inline / "manifest.json").read_text())["format_version"] == 1
    assert {path.name for path in large.iterdir()} == {
        "manifest.json",
        *(entry.file for entry in manifest.all_files),
    }
    assert {each.entry.file: [entry.file for entry in each.weights] for each in manifest.variants} == {
        "cpu-fp32.onnx": ["cpu-fp32.onnx_data"],
        "portable-fp32.onnx": ["portable-fp32.onnx_data"],
        "webgpu-fp16.onnx": [],  # half as large: it fits again
    }
    Bundle(large).check(None)


@pytest.mark.parametrize("file", ["cpu-fp32.onnx", "portable-fp32.onnx"])
def test_the_graph_says_where_its_weights_are(file: str, large: Path, inline: Path) -> None:
    graph, whole = onnx.load(large / file, load_external_data=False), onnx.load(inline / file)
    assert (large / file).stat().st_size < 1 << 17 < (inline / file).stat().st_size
    values = (large / f"{file}_data").read_bytes()
    seen = 0
    for tensor, right in zip(graph.graph.initializer, whole.graph.initializer, strict=True):
        assert (tensor.name, tensor.dims, tensor.data_type) == (right.name, right.dims, right.data_type)
        assert bool(tensor.external_data) == (len(right.raw_data) >= LEAST_MAPPED)
        if tensor.external_data:
            said = {entry.key: entry.value for entry in tensor.external_data}
            at, size = int(said["offset"]), int(said["length"])
            assert at % ALIGNMENT == 0
            assert values[at : at + size] == right.raw_data
            seen += size
    assert 0.9 * len(values) < seen <= len(values)


def test_vectors_are_bit_equal_to_those_of_the_inline_graph(large: Path, inline: Path) -> None:
    with (
        sestina.load(large, precision="fp32", threads=2) as here,
        sestina.load(inline, precision="fp32", threads=2) as there,
    ):
        assert here.space == there.space
        assert here.encode(TEXTS).tobytes() == there.encode(TEXTS).tobytes()
        assert here.encode(TEXTS[0]).tobytes() == there.encode(TEXTS[0]).tobytes()
        assert here.explain(TEXTS[0]).vector.tobytes() == there.explain(TEXTS[0]).vector.tobytes()
        assert here.verify().passed
    runs = []
    for path in (large, inline):
        bundle = Bundle(path)
        (variant,) = (each for each in bundle.manifest.variants if each.target == "portable")
        run = open_on_cpu(bundle.graph(variant.entry.file), variant, 1)
        runs.append(run.run("sentence_embedding", np.arange(5, 25)[None]).tobytes())
    assert runs[0] == runs[1]


def test_parity_says_the_same(large: Path, inline: Path) -> None:
    """It is measured on the mapped file, and is not another figure for that."""
    parities = [
        {each.entry.file: each.parity for each in Bundle(path).manifest.variants} for path in (large, inline)
    ]
    for file in ("cpu-fp32.onnx", "portable-fp32.onnx"):
        assert parities[0][file] == parities[1][file]


def test_any_onnxruntime_opens_it_by_its_path(large: Path) -> None:
    session = onnxruntime.InferenceSession(large / "cpu-fp32.onnx")
    with sestina.load(large, precision="fp32") as encoder:
        ids = np.array([encoder.tokenize(TEXTS[0]).ids])
        vector = session.run(["sentence_embedding"], {"input_ids": ids})[0][0]
        assert np.abs(vector - encoder.encode(TEXTS[0])).max() < 1e-6


def test_the_states_part_stands_at_the_end_of_a_graph_with_weights_beside_it(
    make_bundle: Callable[..., Path], lowered: None, tmp_path: Path
) -> None:
    """Of an encoder that is read for its first token: without it no session has any node of it."""
    first = tiny_checkpoint(tiny_wordpiece(), pooling="cls", **WIDE)  # type: ignore[arg-type]
    path = export(first, tmp_path / "first.sestina", precisions=["fp32"]).path
    assert (path / "cpu-fp32.onnx_data").exists()
    content = (path / "cpu-fp32.onnx").read_bytes()
    assert 0 < states_part(content)[0] < len(content) / 2
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_weights, "LARGEST_INLINE", 1 << 31)
        inline = export(first, tmp_path / "inline.sestina", precisions=["fp32"]).path
    assert states_part((inline / "cpu-fp32.onnx").read_bytes()) == states_part(content)
    with sestina.load(path, threads=1) as here, sestina.load(inline, threads=1) as there:
        assert here.encode(TEXTS).tobytes() == there.encode(TEXTS).tobytes()
        (outputs,) = [here._engine.sessions().any._guarded.native.get_outputs()]
        assert [output.name for output in outputs] == ["sentence_embedding"]
        for mine, other in zip(here.hidden_states(TEXTS), there.hidden_states(TEXTS), strict=True):
            assert mine.tobytes() == other.tobytes()
        assert here.explain(TEXTS[0]).vector.tobytes() == there.explain(TEXTS[0]).vector.tobytes()
    session = onnxruntime.InferenceSession(path / "cpu-fp32.onnx")
    assert [output.name for output in session.get_outputs()] == ["sentence_embedding", "last_hidden_state"]


def test_what_is_written_anew_for_its_gate_is_written_whole(
    checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """An int8 graph that is mapped while it misses its gate, and the weights beside it."""
    monkeypatch.setattr(_weights, "LARGEST_INLINE", 1 << 18)
    monkeypatch.setattr(_weights, "_ROOM", 1 << 16)
    plain = export(checkpoint, tmp_path / "plain.sestina", precisions=["int8"]).manifest.variants[0]
    mean = plain.parity["cosine"]["mean"]
    gate = QualityGate(mean=mean + (1 - mean) / 16, first_percentile=0, worst=0)
    said = list[str]()
    result = export(
        checkpoint, tmp_path / "out.sestina", precisions=["int8"], gate=gate, progress=said.append
    )
    (variant,) = result.manifest.variants
    assert "cpu-int8.onnx missed its gate: keeping more of it in float32" in said
    assert variant.parity["kept_in_float32"]
    assert [entry.file for entry in variant.weights] == ["cpu-int8.onnx_data"]
    assert variant.bytes > plain.bytes
    assert variant.weights != plain.weights
    with sestina.load(result.path) as encoder:
        assert encoder.verify().passed


def test_what_a_provider_takes_can_be_checked(large: Path) -> None:
    assert {each.file for each in check(large, "nnapi")} == {"portable-fp32.onnx", "webgpu-fp16.onnx"}


def test_altered_truncated_or_swapped_weights_are_refused(large: Path, tmp_path: Path) -> None:
    """The negative controls."""
    own = shutil.copytree(large, tmp_path / "own.sestina")
    path = own / "cpu-fp32.onnx_data"
    content = path.read_bytes()
    for wrong in (
        content[:100] + bytes([content[100] ^ 1]) + content[101:],
        content[:-64],
        (own / "portable-fp32.onnx_data").read_bytes(),
    ):
        path.write_bytes(wrong)
        with pytest.raises(sestina.BundleIntegrityError, match=r"cpu-fp32\.onnx_data (is not the file|has)"):
            sestina.load(own, precision="fp32")


def test_a_large_bundle_can_be_replaced(large: Path, tmp_path: Path) -> None:
    """Its files are its own, and nothing else is."""
    own = shutil.copytree(large, tmp_path / "own.sestina")
    contents = replaceable(own, overwrite=True)
    assert set(contents(own)) == {path.name for path in own.iterdir()}
    (own / "mine.txt").write_text("kept")
    with pytest.raises(ExportError, match=r"'mine\.txt', which its manifest does not list"):
        contents(own)


class TestRefusals:
    @pytest.fixture
    def tiny_limit(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(_weights, "LARGEST_INLINE", 1 << 18)
        monkeypatch.setattr(_weights, "_ROOM", 1 << 16)

    @pytest.mark.parametrize(("target", "precision"), [("mobile-cpu", "int8"), ("cuda", "fp16")])
    @pytest.mark.usefixtures("tiny_limit")
    def test_what_must_hold_its_weights(
        self, target: str, precision: str, checkpoint: Checkpoint, tmp_path: Path
    ) -> None:
        with pytest.raises(GraphError, match=r"^\S+ would have \d+ bytes, .* too large for") as caught:
            export(checkpoint, tmp_path / "out.sestina", targets=[target])
        assert f"too large for {target} in {precision}" in str(caught.value)
        assert "\n" not in str(caught.value)
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.usefixtures("tiny_limit")
    def test_what_is_quantised_from_float32(self, checkpoint: Checkpoint, tmp_path: Path) -> None:
        with pytest.raises(GraphError, match="this encoder is too large for a16w8") as caught:
            export(checkpoint, tmp_path / "out.sestina", targets=["qnn"])
        assert "\n" not in str(caught.value)
        assert list(tmp_path.iterdir()) == []


def sized(n_layers: int, d_model: int, d_ff: int, positions: int) -> EncoderConfig:
    return EncoderConfig(
        vocab_size=1000,
        n_layers=n_layers,
        d_model=d_model,
        n_heads=8,
        d_ff=d_ff,
        activation="gelu",
        norm="post",
        positions="learned",
        max_positions=positions,
    )


@pytest.mark.parametrize("size", [(6, 384, 1536, 512), (12, 768, 3072, 512), (24, 1024, 4096, 512)])
def test_encoders_of_usual_sizes_are_measured_at_every_shape(size: tuple[int, int, int, int]) -> None:
    assert parity_shapes(512, sized(*size)) == parity_shapes(512)
    assert parity_shapes(512)[-2:] == [(2, 512), (5, 512)]


def test_long_texts_of_a_large_encoder_are_measured_as_long_as_takes_seconds() -> None:
    shapes = parity_shapes(8192, sized(24, 1024, 4096, 8192))
    assert [shape for shape in shapes if shape[1] < 100] == [
        shape for shape in parity_shapes(8192) if shape[1] < 100
    ]
    longest = {batch: max(length for b, length in shapes if b == batch) for batch in (1, 2, 5)}
    assert 500 < longest[5] < longest[2] < longest[1] < 8192
    assert len(shapes) == 4 * 3 + 3
    assert max(batch * length for batch, length in parity_shapes(1 << 24, sized(1, 8, 8, 1 << 24))) <= 1 << 17

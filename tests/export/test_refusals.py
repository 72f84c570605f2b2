"""What cannot be exported is refused in one line, before any work where that can be known."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

import sestina
from _tiny import LINES, tiny_bpe, tiny_checkpoint, tiny_wordpiece
from sestina import SestinaError, TextTypeError, TextValueError
from sestina._cli.export import _lines
from sestina_export import ExportError, ParityError, QualityError, QualityGate, _export, export
from sestina_export._proof.parity import measure_batches
from sestina_export._proof.quality import golden_tolerance, measure_quality
from sestina_export._quantise.calibrate import calibrate, split_texts
from sestina_export._quantise.rounding import column_scales, round_to_int8
from sestina_export._variants import CPU_FP32, CPU_INT8, choose_specs
from sestina_model._errors import CheckpointError, ModelError
from sestina_model.checkpoint import Checkpoint

TEXTS = [f"{line} {number}" for number in range(12) for line in LINES]


def refused(*args: Any, **kwargs: Any) -> str:
    """The one line that an export fails with, having reported no step."""
    steps: list[str] = []
    with pytest.raises((SestinaError, ModelError)) as caught:
        export(*args, progress=steps.append, **kwargs)
    assert "\n" not in str(caught.value)
    assert steps in ([], ["reading the checkpoint"])
    return str(caught.value)


def overflowing() -> Checkpoint:
    checkpoint = tiny_checkpoint(tiny_wordpiece())
    with torch.no_grad():
        checkpoint.model.encoder.layers[0].attention_norm.weight.mul_(1e20)
    return checkpoint


class TestWeights:
    @pytest.mark.parametrize("value", [float("nan"), float("inf")])
    def test_a_module_that_is_not_finite(self, tmp_path: Path, value: float) -> None:
        encoder = tiny_checkpoint(tiny_wordpiece()).model.encoder
        with torch.no_grad():
            encoder.layers[1].attention.key.bias[2] = value
        message = refused(encoder, tmp_path / "out", tokenizer=tiny_wordpiece())
        assert message == (
            "encoder.layers.1.attention.key.bias holds NaN or infinity; load or train the model again"
        )
        assert list(tmp_path.iterdir()) == []

    def test_a_checkpoint_that_became_infinite_after_it_was_made(self, tmp_path: Path) -> None:
        checkpoint = tiny_checkpoint(tiny_wordpiece())
        with torch.no_grad():
            checkpoint.model.encoder.tokens.weight[0, 0] = torch.inf
        with pytest.raises(CheckpointError, match=r"encoder\.tokens\.weight holds NaN or infinity"):
            export(checkpoint, tmp_path / "out")

    def test_activations_beyond_float32(self, tmp_path: Path) -> None:
        message = r"^int8: the inputs of layers\.\S+ on the calibration texts are beyond float32, so no scale"
        with pytest.raises(QualityError, match=message):
            calibrate(overflowing(), TEXTS)
        with pytest.raises(QualityError, match=message):
            export(overflowing(), tmp_path / "out", precisions=["int8"])
        steps: list[str] = []
        with pytest.raises(ParityError, match=r"^cpu-fp32\.onnx: \S+ differs from PyTorch by"):
            export(overflowing(), tmp_path / "out", progress=steps.append)
        assert "exporting cpu-fp32.onnx" in steps
        assert list(tmp_path.iterdir()) == []

    def test_no_calibration_text_with_a_token(self) -> None:
        with pytest.raises(QualityError, match="int8: no calibration text has a token"):
            calibrate(tiny_checkpoint(tiny_bpe()), [""])

    def test_inputs_that_cannot_be_told_apart(self) -> None:
        weight = torch.ones(2, 1)
        with pytest.raises(QualityError, match="are of sizes too different to round for"):
            round_to_int8(weight, column_scales(weight), torch.tensor([[1.0, 2.0], [2.0, 1.0]]))


class TestModule:
    def test_on_another_device(self, tmp_path: Path) -> None:
        encoder = tiny_checkpoint(tiny_wordpiece()).model.encoder.to("meta")
        assert refused(encoder, tmp_path / "out", tokenizer=tiny_wordpiece()) == (
            "encoder.positions is on meta; the export runs on the CPU: call .cpu() first"
        )

    @pytest.mark.parametrize("fails", [False, True])
    def test_keeps_its_training_mode(self, tmp_path: Path, fails: bool) -> None:
        for module in (
            tiny_checkpoint(tiny_wordpiece()).model,
            tiny_checkpoint(tiny_wordpiece()).model.encoder,
        ):
            module.train()
            frozen = list(module.modules())[-1].eval()
            before = {id(part): part.training for part in module.modules()}
            out = tmp_path / type(module).__name__
            options: dict[str, Any] = {"tokenizer": tiny_wordpiece(), "precisions": ["fp32"]}
            if fails:
                with pytest.raises(CheckpointError, match="are not a pair"):
                    export(module, out, tokenizer=tiny_bpe())
            else:
                export(module, out, **options)
            assert {id(part): part.training for part in module.modules()} == before
            assert not frozen.training

    def test_no_position_for_a_text(self, tmp_path: Path) -> None:
        """Where [CLS] and [SEP] take all, every text would have one vector."""
        checkpoint = tiny_checkpoint(tiny_wordpiece(), max_positions=2, max_tokens=2)
        with pytest.raises(sestina.SestinaError, match="special tokens"):
            export(checkpoint, tmp_path / "out", precisions=["fp32"])
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("positions", [3, 4, 9])
    def test_few_positions(self, tmp_path: Path, positions: int) -> None:
        checkpoint = tiny_checkpoint(tiny_wordpiece(), max_positions=positions, max_tokens=positions)
        result = export(checkpoint, tmp_path / "out", precisions=["fp32"])
        with sestina.load(result.path) as encoder:
            vectors = encoder.encode(list(LINES), on_truncate="ignore")
        np.testing.assert_allclose(vectors, checkpoint.encode(LINES), atol=1e-5)

    def test_one_position(self, tmp_path: Path) -> None:
        checkpoint = tiny_checkpoint(tiny_bpe(), max_positions=1, max_tokens=1)
        assert refused(checkpoint, tmp_path / "out") == (
            "max_positions is 1; an encoder must have at least 2 to be exported"
        )


class TestArguments:
    @pytest.mark.parametrize(
        "options, message",
        [
            ({"precisions": "int8"}, "precisions is a str; put it in a list: precisions=['int8']"),
            ({"precisions": 8}, "precisions is 8; it must be a list, such as precisions=['fp32']"),
            ({"calibration": "one text"}, "calibration is a str; it must be a sequence of texts"),
            ({"calibration": 5}, "calibration is a int; it must be a sequence of texts"),
            ({"name": 3}, "name is int; it must be str"),
            (
                {"name": "a\ud800"},
                "name has a lone surrogate U+D800 at character 1; it must be valid Unicode",
            ),
            ({"licence": ["mit"]}, "licence is list; it must be str"),
            (
                {"licence": "\udfff"},
                "licence has a lone surrogate U+DFFF at character 0; it must be valid Unicode",
            ),
        ],
    )
    def test_of_a_wrong_kind(self, tmp_path: Path, options: dict[str, Any], message: str) -> None:
        assert refused(tmp_path / "no checkpoint", tmp_path / "out", **options) == message

    def test_a_checkpoint_with_such_a_name(self, tmp_path: Path) -> None:
        checkpoint = replace(tiny_checkpoint(tiny_wordpiece()), name="\ud800")
        assert refused(checkpoint, tmp_path / "out").startswith("the checkpoint's name has a lone surrogate")

    def test_calibration_texts(self) -> None:
        with pytest.raises(TextTypeError, match="text 2 is int; it must be str"):
            split_texts(["a", "b", 3])  # type: ignore[list-item]
        with pytest.raises(TextValueError, match=r"text 1 has a lone surrogate U\+D800 at character 0"):
            split_texts(["a", "\ud800"])
        with pytest.raises(ExportError, match="^31 calibration texts are too few; give at least 32$"):
            split_texts(TEXTS[:31])
        with pytest.raises(
            ExportError,
            match="31 calibration texts are too few; give at least 32 that are neither blank nor repeated",
        ):
            split_texts([*TEXTS[:31], "", " \n", *TEXTS[:31]])
        used, held_back = split_texts(iter([*TEXTS, "", *TEXTS]))
        assert sorted(used + held_back) == sorted(TEXTS)
        assert not set(used) & set(held_back)

    def test_precisions_are_any_iterable(self) -> None:
        assert choose_specs(iter(["fp32", "int8", "fp32"])) == (CPU_INT8, CPU_FP32) == choose_specs(None)
        assert [spec.precision for spec in choose_specs({"fp32"})] == ["fp32"]

    @pytest.mark.parametrize("bound", [True, False, float("nan"), "0.9"])
    def test_a_gate_that_is_no_cosine(self, bound: Any) -> None:
        with pytest.raises(ExportError, match=r"the gate's mean is .*; it must be a cosine from -1 to 1"):
            QualityGate(mean=bound)

    def test_calibration_files_are_lines_as_everywhere(self, tmp_path: Path) -> None:
        (tmp_path / "texts").write_bytes("\ufeffa\u2028b\x0bc\x85d\r\n\n  \ne".encode())
        assert _lines(str(tmp_path / "texts")) == ["a\u2028b\x0bc\x85d", "e"]


class TestTarget:
    @pytest.mark.parametrize(
        "out, message",
        [
            ("a\0b", r"'a\x00b' has a null character; no path can"),
            ("a\ud800", r"'a\ud800' has a lone surrogate; it must be valid Unicode"),
            (5, "out is int; it must be a path, such as 'NAME.sestina'"),
            (b"out", "out is bytes; it must be a path, such as 'NAME.sestina'"),
            ("x" * 300, "x" * 300 + " cannot be used: File name too long"),
        ],
    )
    def test_no_path(self, out: Any, message: str) -> None:
        assert refused("no checkpoint", out) == message

    def test_a_link_stays_and_its_target_is_replaced(self, own_bundle: Path, tmp_path: Path) -> None:
        link = tmp_path / "link.sestina"
        link.symlink_to(own_bundle)
        other = tiny_checkpoint(tiny_wordpiece(), seed=5)
        export(other, link, precisions=["fp32"], overwrite=True)
        assert link.is_symlink()
        assert not (own_bundle / "cpu-int8.onnx").exists()
        assert sorted(path.name for path in tmp_path.iterdir()) == ["link.sestina", "own.sestina"]

    def test_a_dangling_link_leads_to_the_bundle(self, tmp_path: Path) -> None:
        link = tmp_path / "link"
        link.symlink_to("real.sestina")
        export(tiny_checkpoint(tiny_wordpiece()), link, precisions=["fp32"])
        assert link.is_symlink()
        assert (tmp_path / "real.sestina" / "manifest.json").is_file()

    def test_a_link_to_itself(self, tmp_path: Path) -> None:
        link = tmp_path / "link"
        link.symlink_to(link)
        assert refused("no checkpoint", link).endswith(
            "link is a symbolic link that leads back to itself; remove it first"
        )

    def test_a_failure_leaves_no_folder_that_it_made(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def failing(*_: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(_export, "write_goldens", failing)
        (tmp_path / "kept").mkdir()
        with pytest.raises(ExportError, match="cannot be written: No space left on device"):
            export(tiny_checkpoint(tiny_wordpiece()), tmp_path / "kept" / "a" / "b", precisions=["fp32"])
        assert [path.name for path in tmp_path.rglob("*")] == ["kept"]


class TestInt8:
    def test_batches_are_bit_equal_and_that_is_stated(self, bundle: Path) -> None:
        import json

        parity = json.loads((bundle / "manifest.json").read_text())["variants"][0]["parity"]
        assert parity["bit_equal_batches"] == [2, 5]

    def test_rows_that_depend_on_their_neighbours(self, bundle: Path) -> None:
        """Negative control: a scale taken from the whole batch."""
        graph = onnx.load(bundle / "cpu-int8.onnx")
        output = graph.graph.output[0].name
        for node in graph.graph.node:
            node.output[:] = ["before" if name == output else name for name in node.output]
            node.input[:] = ["before" if name == output else name for name in node.input]
        graph.graph.node.append(onnx.helper.make_node("ReduceMax", ["before"], ["highest"], keepdims=0))
        graph.graph.node.append(onnx.helper.make_node("Div", ["before", "highest"], [output]))
        with pytest.raises(
            ParityError,
            match="it: sentence_embedding of one row at batch 2, length 1 is not bit-equal to the same row alone",
        ):
            measure_batches(graph.SerializeToString(), tiny_checkpoint(tiny_wordpiece()).model, "it")

    def test_zero_vectors_are_not_measured(self, tmp_path: Path) -> None:
        checkpoint = tiny_checkpoint(tiny_bpe())
        path = export(checkpoint, tmp_path / "out", precisions=["fp32"]).path
        graph = (path / "cpu-fp32.onnx").read_bytes()
        assert measure_quality(graph, checkpoint, ["", "a", ""], QualityGate(), "it")["texts"] == 1
        with pytest.raises(QualityError, match="it: the texts held back give only zero vectors"):
            measure_quality(graph, checkpoint, ["", ""], QualityGate(), "it")

    @pytest.mark.parametrize("worst, tolerance", [(0.0, 1e-3), (5e-4, 1e-3), (0.04, 0.06)])
    def test_golden_tolerance(self, worst: float, tolerance: float) -> None:
        assert golden_tolerance(worst) == tolerance


def test_onnxruntime_is_not_imported_before_it_is_told_to_send_nothing() -> None:
    code = "import sys, sestina_export; print('onnxruntime' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "False\n"

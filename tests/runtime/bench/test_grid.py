"""`sestina bench --provider`: batches on one provider, beside PyTorch on the same device."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import sestina
from _tiny import tiny_checkpoint, tiny_wordpiece
from sestina.__main__ import main
from sestina._bench import grid as _grid
from sestina._bench.contender import ON_DEVICE
from sestina._bench.run import Options
from sestina._bench.statistics import ratio
from sestina._bench.table import lines
from sestina_model import checkpoint

EAGER = {name: where for name, where in ON_DEVICE.items() if name != "torch-compiled"}  # that takes minutes
OURS, THEIRS = "sestina-on fp32", "torch-on fp32"


@pytest.fixture(scope="module")
def measured(bundle: Path, source: Path) -> dict[str, Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_grid, "ON_DEVICE", EAGER)
        return _grid.run(
            Options(str(bundle), str(source), precision="fp32", rounds=2, quick=True), "cpu", print
        )


class TestGrid:
    def test_every_cell_of_everyone(self, measured: dict[str, Any]) -> None:
        assert [row["state"] for row in measured["contenders"]] == ["measured", "measured"]
        assert [(row["length"], row["batch"]) for row in measured["grid"]] == [
            (16, 1),
            (16, 8),
            (64, 1),
            (64, 8),
        ]
        for row in measured["grid"]:
            for facts in row["contenders"].values():
                assert facts["texts_per_s"] == pytest.approx(1000 * row["batch"] / facts["p50_ms"])

    def test_vectors_are_compared_first(self, measured: dict[str, Any]) -> None:
        assert all(row["agreement"]["worst_cosine"] > 0.99999 for row in measured["contenders"])

    def test_ratios_are_theirs_over_ours(self, measured: dict[str, Any]) -> None:
        ours, theirs = (row["samples"] for row in measured["contenders"])
        assert {(row["ours"], row["other"]) for row in measured["ratios"]} == {(OURS, THEIRS)}
        for row in measured["ratios"]:
            expected = ratio(theirs[row["measure"]], ours[row["measure"]])
            assert (row["value"], row["low"], row["high"]) == (expected.value, expected.low, expected.high)
        assert measured["slower"] == [row for row in measured["ratios"] if row["value"] < 1]

    def test_says_where_it_ran(self, measured: dict[str, Any]) -> None:
        ours, theirs = (row["description"] for row in measured["contenders"])
        assert ours == "cpu-fp32.onnx on cpu (CPU), placed 100%"
        assert "cpu, float32, scaled_dot_product_attention" in theirs
        printed = "\n".join(lines(measured))
        assert "16 x 8" in printed
        assert "Ratios: batches" in printed
        assert "Ratios: corpus" not in printed
        assert THEIRS in printed


class TestRefusals:
    def test_a_provider_that_is_not_here(self, bundle: Path) -> None:
        with pytest.raises(sestina.ProviderError, match=r"could not be measured on cuda: .*onnxruntime-gpu"):
            _grid.run(Options(str(bundle), rounds=1, quick=True), "cuda", print)

    def test_another_checkpoint(self, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(_grid, "ON_DEVICE", EAGER)
        checkpoint.save(tiny_checkpoint(tiny_wordpiece(), seed=9), tmp_path / "other")
        options = Options(str(bundle), str(tmp_path / "other"), precision="fp32", rounds=1, quick=True)
        with pytest.raises(sestina.ProviderError, match="differ from PyTorch's"):
            _grid.run(options, "cpu", print)

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["--provider", "gpu"], "provider is 'gpu'"),
            (["--provider", "cpu", "--profile"], "--profile is for whole runs"),
            (["--provider", "cpu", "--texts", "no.txt"], "--texts is for whole runs"),
            (["--provider", "cpu", "--threads", "2,1"], "--threads takes one number with --provider"),
            (["--provider", "cpu", "--rounds", "0"], "--rounds is 0; it must be at least 1"),
            (["--provider", "cpu", "--precision", "fp16"], "no variant for cpu/fp16"),
        ],
    )
    def test_usage(
        self, arguments: list[str], message: str, bundle: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["bench", str(bundle), *arguments]) != 0
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1


def test_command(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["bench", str(bundle), "--provider", "cpu", "--quick", "--rounds", "1", "--json"]
    assert main(arguments) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["command"] == f"sestina bench {bundle} --provider cpu --rounds 1 --quick"
    assert [row["name"] for row in document["contenders"]] == ["sestina-on int8"]

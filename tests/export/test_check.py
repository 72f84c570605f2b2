"""What a mobile provider will take, as `sestina inspect --check` says it."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import sestina
from sestina.__main__ import main
from sestina_export import ExportError, check

WITH_QNN = importlib.util.find_spec("onnxruntime_qnn") is not None


@pytest.fixture(scope="module")
def portable(make_bundle: Callable[..., Path]) -> Path:
    return make_bundle(targets=["portable"])


def test_coreml_takes_all_but_the_table_in_one_partition(portable: Path) -> None:
    checks = check(portable, "coreml")
    assert [each.length for each in checks] == [16, 32, 64]
    for each in checks:
        assert (each.how, each.partitions) == ("checked statically", 1)
        assert each.not_taken == {"Gather": 1}
        assert each.taken == each.nodes - 1 > 50


def test_nnapi_is_reported_with_its_deprecation_and_its_pieces(portable: Path) -> None:
    each = check(portable, "nnapi")[0]
    assert "deprecated" in each.note
    assert each.partitions > 5
    assert {"LayerNormalization", "Gelu"} <= set(each.not_taken)
    assert each.taken + sum(each.not_taken.values()) == each.nodes


@pytest.mark.skipif(not WITH_QNN, reason="onnxruntime-qnn is not installed")
def test_qnn_is_asked_on_its_simulator(portable: Path) -> None:
    for each in check(portable, "qnn"):
        assert (each.how, each.partitions, each.not_taken) == ("simulated", 1, {})
        assert each.taken == each.nodes > 50


def test_without_its_package_qnn_is_one_line(
    portable: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime_qnn", None)
    with pytest.raises(sestina.MissingExtraError, match=r"pip install --no-deps onnxruntime-qnn"):
        check(portable, "qnn")
    assert main(["inspect", str(portable), "--check", "qnn"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "onnxruntime_qnn, which is not installed" in error


def test_what_cannot_be_checked_is_refused(portable: Path, bundle: Path) -> None:
    with pytest.raises(ExportError, match="provider is 'tpu'; what can be checked is coreml, nnapi, qnn"):
        check(portable, "tpu")
    with pytest.raises(ExportError, match=r"has no variant of fixed lengths, which coreml needs: export one"):
        check(bundle, "coreml")
    with pytest.raises(sestina.BundleNotFoundError):
        check(portable / "absent", "coreml")


def test_the_command_line_says_it_in_words_and_in_json(
    portable: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["inspect", str(portable), "--check", "coreml", "--check", "nnapi"]) == 0
    text = capsys.readouterr().out
    assert "coreml, checked statically" in text
    assert "nodes in 1 partition; not 1 Gather" in text
    assert "deprecated" in text
    assert main(["inspect", str(portable), "--check", "coreml", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [each["not_taken"] for each in document["checks"]] == [{"Gather": 1}] * 3
    assert main(["inspect", str(portable), "--json"]) == 0
    assert "checks" not in json.loads(capsys.readouterr().out)

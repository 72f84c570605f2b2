"""What the commands make of a sparse encoder: its facts, its goldens, its speed, and one line of encode."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from _made import needs_exporter

pytestmark = needs_exporter

Cli = Callable[..., Any]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from _heads import head_checkpoint
    from sestina_export import export

    target = tmp_path_factory.mktemp("sparse") / "splade.sestina"
    return export(head_checkpoint("sparse"), target, precisions=["fp32"]).path


def test_facts(cli: Cli, bundle: Path) -> None:
    shown = cli("inspect", bundle).out
    assert "task        sparse" in shown
    assert "dimensions  147" in shown
    assert "similarity  dot" in shown
    document = cli("inspect", bundle, "--json").json
    assert (document["task"], document["max_active"], document["dimensions"]) == ("sparse", None, 147)
    assert "labels" not in document
    verified = cli("verify", bundle, "--json").json
    assert verified["passed"]
    assert verified["passed_count"] > 30
    found = cli("providers", bundle, "--json").json
    (cpu,) = [each for each in found["providers"] if each["name"] == "cpu"]
    assert (cpu["runs"]["variant"], cpu["runs"]["share"]) == ("cpu-fp32.onnx", 1)


def test_bench(cli: Cli, bundle: Path) -> None:
    document = cli("bench", bundle, "--quick", "--rounds", 1, "--json").json
    assert document["task"] == "sparse"
    assert [each["name"] for each in document["results"]] == ["sestina fp32"]
    assert document["results"][0]["per_second"] > 0


def test_bench_beside_its_source(cli: Cli, tmp_path: Path) -> None:
    pytest.importorskip("sentence_transformers")
    from _heads import head_folder
    from sestina_export import export

    folder = head_folder("bert", tmp_path / "checkpoint", kind="MaskedLM")
    made = export(folder, tmp_path / "a.sestina", task="sparse", precisions=["fp32"]).path
    document = cli("bench", made, "--source", folder, "--quick", "--rounds", 1, "--json").json
    ours, peer = document["results"]
    assert (ours["name"], peer["name"]) == ("sestina fp32", "SparseEncoder fp32")
    assert ours["difference"] <= 1e-4
    assert ours["ratio"]["value"] > 0
    other = head_folder("bert", tmp_path / "other", kind="MaskedLM", seed=8)
    refused = cli("bench", made, "--source", other, "--quick", "--rounds", 1)
    assert refused.code == 2
    assert "does not match --source" in refused.err


def test_commands_of_other_tasks(cli: Cli, bundle: Path) -> None:
    for arguments in (("encode", bundle, "a"), ("similar", bundle, "a", "b"), ("explain", bundle, "a")):
        done = cli(*arguments)
        assert (done.code, done.out) == (2, "")
        assert "is a bundle of the task sparse, and sestina.load loads embedding" in done.err
        assert done.err.count("\n") == 1

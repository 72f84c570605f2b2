"""`sestina providers`, and how other commands name a provider."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from _fakes import Behaviour, FakeOnnxruntime, forget_packages, install, plugin_package
from _masked import for_cpu, masked_bundle, portable
from sestina._cli.options import _providers
from sestina._providers.table import PROVIDERS
from sestina._trial import try_provider

Cli = Callable[..., Any]  # the fixture of conftest.py
QNN = PROVIDERS["qnn"].ep
PLUGINS = [provider.module for provider in PROVIDERS.values() if provider.module is not None]


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """No plugin is installed."""
    forget_packages(monkeypatch, *PLUGINS)


def test_an_option_may_be_an_object() -> None:
    config = '{"CPU": {"NUM_STREAMS": "2", "INFERENCE_PRECISION_HINT": "bf16"}, "GPU": {}}'
    assert _providers(f"openvino:load_config={config}:device=CPU,cpu") == [
        ("openvino", {"load_config": config, "device": "CPU"}),
        "cpu",
    ]


def test_without_a_bundle(cli: Cli, plain: None) -> None:
    outcome = cli("providers")
    lines = outcome.out.splitlines()
    assert outcome.code == 0
    assert lines[0].startswith("cpu       runs cpu-int8.onnx on CPU: 100% of ")
    assert [line.split()[0] for line in lines] == [*PROVIDERS, "auto"]
    (qnn,) = (line for line in lines if line.startswith("qnn"))
    assert qnn == (
        "qnn       not here: the package onnxruntime_qnn is not installed: pip install onnxruntime-qnn"
    )


def test_with_a_bundle(cli: Cli, plain: None, bundle: Path) -> None:
    outcome = cli("providers", bundle)
    assert outcome.code == 0
    first = outcome.out.splitlines()[0]
    assert first.startswith("cpu       runs cpu-")
    assert "on CPU: 100% of " in first
    assert " nodes, goldens within " in first
    assert outcome.out.splitlines()[-1] == f"auto      takes cpu, {first.split()[2]}"
    document = cli("providers", bundle, "--json", "--precision", "fp32").json
    assert document["bundle"] == str(bundle)
    assert [each["name"] for each in document["providers"]] == list(PROVIDERS)
    assert document["auto"] == {"provider": "cpu", "variant": "cpu-fp32.onnx", "precision": "fp32"}
    cpu, cuda = document["providers"][:2]
    assert cpu["runs"]["variant"] == "cpu-fp32.onnx"
    assert cpu["runs"]["share"] == 1
    assert 0 < cpu["runs"]["probe_error"] < 1e-5
    assert (cuda["here"], "runs" in cuda) == (False, False)
    assert "pip install onnxruntime-gpu" in cuda["why_not"][0]


def test_a_bundle_that_the_cpu_fails_on(cli: Cli, plain: None, bundle: Path, tmp_path: Path) -> None:
    faulty = masked_bundle(bundle, tmp_path / "faulty.sestina", portable(masks=False))
    lines = cli("providers", faulty).out.splitlines()
    assert lines[0] == "cpu       here: CPU, runs none of it:"
    assert lines[1].strip().startswith("its goldens are ")
    lines = cli("providers", faulty, "--precision", "int8").out.splitlines()
    assert "has no variant for cpu/int8" in lines[1]
    assert lines[-1].startswith("auto      ")
    assert "has no variant for cpu/int8" in lines[-1]


@pytest.mark.parametrize(
    "arguments, said",
    [
        (("nowhere.sestina",), "there is no bundle at nowhere.sestina"),
        (("--precision", "fp8"), "precision is 'fp8'; it must be one of auto"),
        (("--seconds", "0"), "--seconds is 0; it must be above 0 and at most 86400"),
        (("--seconds", "nan"), "--seconds is nan; it must be above 0"),
        (("--json", "--markdown"), "not allowed with argument"),
    ],
)
def test_bad_input(cli: Cli, arguments: tuple[str, ...], said: str) -> None:
    outcome = cli("providers", *arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert said in outcome.err
    assert outcome.err.count("\n") == 1


def test_an_altered_bundle_is_refused_once(cli: Cli, plain: None, own_bundle: Path) -> None:
    graph = own_bundle / "cpu-int8.onnx"
    content = bytearray(graph.read_bytes())
    content[-9] ^= 1
    graph.write_bytes(content)
    outcome = cli("providers", own_bundle)
    assert (outcome.code, outcome.out) == (2, "")
    assert "its SHA-256 differs" in outcome.err


def test_markdown(cli: Cli) -> None:
    lines = cli("providers", "--markdown").out.splitlines()
    assert len(lines) == 2 + len(PROVIDERS)
    assert {line.count("|") for line in lines} == {8}


@pytest.mark.parametrize(
    "code, said",
    [
        ("import os; os.abort()", "its driver crashed in a trial (SIGABRT)"),
        ("import ctypes; ctypes.string_at(0)", "its driver crashed in a trial (SIGSEGV)"),
        ("import time; time.sleep(60)", "its trial took longer than 3 s and was ended"),
        ("import os; os._exit(3)", "its trial ended with code 3"),
        (
            "import os, sys; sys.stderr.write('no such\\ndriver\\n'); sys.stderr.flush(); os._exit(3)",
            "its trial ended with code 3: driver",
        ),
        ("raise RuntimeError('no\\ndriver')", "its library cannot be registered: no driver"),
        ("print('sestina')", "its library cannot be registered: module 'onnxruntime_qnn' has no attribute"),
    ],
)
def test_whatever_a_driver_does_is_reported(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, bundle: Path, code: str, said: str
) -> None:
    plugin_package(monkeypatch, tmp_path, "onnxruntime_qnn", QNN)
    (tmp_path / "onnxruntime_qnn" / "__init__.py").write_text(code + "\n")
    path = masked_bundle(bundle, tmp_path / "portable.sestina", portable())
    limit = 3 if "sleep" in code else 60
    found = try_provider("qnn", "auto", str(path), limit)
    assert found["here"]
    assert "runs" not in found
    (why,) = found["why_not"]
    assert why.startswith(said)
    assert "\n" not in why


def test_commands_name_providers_in_order_with_options(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, bundle: Path
) -> None:
    plugin_package(monkeypatch, tmp_path / "packages", "onnxruntime_qnn", QNN)
    fake = install(monkeypatch, FakeOnnxruntime(**{QNN: Behaviour()}))
    path = masked_bundle(bundle, tmp_path / "both.sestina", portable(), for_cpu())
    cache = tmp_path / "cache"
    outcome = cli(
        "verify", path, "--json", "--provider", "cuda,qnn:vtcm_mb=8:soc_model=60", "--cache-dir", cache
    )
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.json["provider"] == "qnn"
    assert (fake.opened[0][1]["vtcm_mb"], fake.opened[0][1]["soc_model"]) == ("8", "60")
    assert list(cache.iterdir())


def test_a_fallback_is_a_warning_and_strict_an_error(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, plain: None, bundle: Path
) -> None:
    outcome = cli("encode", bundle, "a text", "--provider", "qnn")
    assert outcome.code == 0
    assert len(outcome.lines) == 1
    assert outcome.err.startswith("sestina: warning: qnn was asked for, the CPU is used: qnn: ")
    strict = cli("encode", bundle, "a text", "--provider", "qnn", "--strict")
    assert (strict.code, strict.out) == (2, "")
    assert strict.err.startswith(f"sestina: error: no provider that was allowed runs {bundle}: qnn: ")
    assert strict.err.count("\n") == 1


def test_without_an_interpreter_to_try_with(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    plugin_package(monkeypatch, tmp_path, "onnxruntime_qnn", QNN)
    monkeypatch.setattr(sys, "executable", "")
    assert try_provider("qnn", "auto", None, 3)["why_not"] == ["there is no Python here to try it with"]


def test_the_trial_module_prints_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What a driver prints meanwhile is not taken for the outcome."""
    plugin_package(monkeypatch, tmp_path, "onnxruntime_qnn", QNN)
    package: Any = tmp_path / "onnxruntime_qnn" / "__init__.py"
    package.write_text("print('{}')\nprint('sestina-trial', '{}')\nraise RuntimeError('no')\n")
    assert try_provider("qnn", "auto", None, 30)["why_not"] == ["its library cannot be registered: no"]
    assert "onnxruntime_qnn" not in sys.modules

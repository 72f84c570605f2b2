"""The real plugin packages, where they are installed: registration, devices, refusal with the right reason.

Each in a fresh process, as a library that was registered stays so until its process ends.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from _masked import for_cpu, masked_bundle, masked_graph, portable, variant
from sestina._providers.table import PROVIDERS
from sestina._trial import try_provider

PLUGINS = [provider for provider in PROVIDERS.values() if provider.module is not None]


def needs(name: str) -> str:
    module = PROVIDERS[name].module
    assert module is not None
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"{module} is not installed: {PROVIDERS[name].install}")
    return module


@pytest.fixture(scope="module")
def path(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    content = masked_graph()
    half = variant("qnn-fp16.onnx", content, "qnn", "fp16", tolerance=5e-3), content
    return masked_bundle(
        bundle, tmp_path_factory.mktemp("real") / "real.sestina", portable(), for_cpu(), half
    )


def fresh(code: str, *arguments: object) -> Any:
    """What a program says, as JSON; libraries may print more, before and after."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, *map(str, arguments)],
        capture_output=True, text=True, env={"PYTHONPATH": ":".join(filter(None, sys.path))},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (said,) = (line for line in done.stdout.splitlines() if line.startswith("said: "))
    return json.loads(said.removeprefix("said: "))


@pytest.mark.parametrize("provider", PLUGINS, ids=lambda provider: provider.name)
def test_a_plugin_is_what_the_table_says(provider: Any) -> None:
    module = needs(provider.name)
    package = importlib.import_module(module)
    assert package.get_ep_name() == provider.ep
    assert Path(package.get_library_path()).is_file()


@pytest.mark.parametrize("provider", PLUGINS, ids=lambda provider: provider.name)
def test_a_plugin_is_registered_and_finds_its_device_or_says_that_there_is_none(
    provider: Any, path: Path
) -> None:
    needs(provider.name)
    found = try_provider(provider.name, "auto", str(path), 120)
    assert found["here"]
    if "device" not in found:
        wanted = " or ".join(provider.devices)
        assert found["why_not"] == [f"no device for it was found here (wanted {wanted}, found none)"]
    else:
        assert found["version"]
        assert "runs" in found or found["why_not"]


_LOAD = """
import json, sys, sestina
provider, path, cache = sys.argv[1:]
with sestina.load(path, provider=provider, strict=True, cache_dir=cache or None) as encoder:
    report, verified = encoder.report(), encoder.verify()
print("\\nsaid:", json.dumps([report.provider, report.variant, report.share, report.partitions, report.device,
                  report.passed_over, verified.passed, verified.worst_error, report.first_run_ms]))
"""


def on_an_intel_processor() -> bool:
    """Skips where OpenVINO has no processor to run on. Returns: whether this one has bfloat16."""
    needs("openvino")
    code = (
        "import json, onnxruntime, onnxruntime_ep_openvino as plugin\n"
        "onnxruntime.register_execution_provider_library(plugin.get_ep_name(), plugin.get_library_path())\n"
        "found = [each for each in onnxruntime.get_ep_devices() if each.ep_name == plugin.get_ep_name()]\n"
        "found = [each.ep_metadata for each in found if each.device.type.name == 'CPU']\n"
        "print('\\nsaid:', json.dumps([each.get('OPTIMIZATION_CAPABILITIES', '') for each in found]))"
    )
    abilities = fresh(code)
    if not abilities:
        pytest.skip("OpenVINO has no device here: it wants an Intel processor")
    return "BF16" in abilities[0].split()


def test_openvino_computes_float32_as_such_in_every_bucket(path: Path, tmp_path: Path) -> None:
    on_an_intel_processor()
    cache = tmp_path / "cache"
    for _ in range(2):
        provider, file, *placed, device, passed_over, passed, worst, first_run_ms = fresh(
            _LOAD, "openvino", path, cache
        )
        assert (provider, file, placed, device) == ("openvino", "portable-fp32.onnx", [1.0, 1], "Intel CPU")
        assert any("cpu-fp32.onnx" in why for why in passed_over)
        assert passed
        assert worst < 1e-6
        assert first_run_ms > 0
    assert len(list(cache.iterdir())) == 3  # one for each bucket
    assert all(any(each.rglob("*.blob")) for each in cache.iterdir())


def test_openvino_told_to_use_bfloat16_is_not_taken_for_float32(path: Path) -> None:
    """What it does on its own where a processor has AMX; the control of the test above."""
    if not on_an_intel_processor():
        pytest.skip("this processor has no bfloat16")
    outcome = fresh(
        "import json, sys, sestina\n"
        "asked = [('openvino', {'load_config': {'CPU': {'INFERENCE_PRECISION_HINT': 'bf16'}}})]\n"
        "try: sestina.load(sys.argv[1], provider=asked, precision='fp32', strict=True)\n"
        "except sestina.ProviderError as error: print('\\nsaid:', json.dumps(str(error)))",
        path,
    )
    assert "openvino with portable-fp32.onnx: its vectors are" in outcome
    assert "from PyTorch's, the variant's tolerance is 1e-05" in outcome


def simulated() -> None:
    needs("qnn")
    found = try_provider("qnn", "auto", None, 120)
    if "simulating" not in found.get("device", ""):
        pytest.skip(f"QNN has no simulator here: {found}")


def test_qnn_runs_every_bucket_on_its_simulator(path: Path, tmp_path: Path) -> None:
    simulated()
    cache = tmp_path / "cache"
    outcomes = [fresh(_LOAD, "qnn", path, cache) for _ in range(2)]
    for provider, file, share, partitions, device, _, passed, worst, first_run_ms in outcomes:
        assert (provider, file, share, partitions) == ("qnn", "qnn-fp16.onnx", 1.0, 1)
        assert device.endswith("CPU, simulating an NPU")
        assert passed
        assert 1e-6 < worst < 5e-3  # fp16 it is
        assert first_run_ms > 0
    kept = sorted(each.name for each in cache.iterdir())
    assert len(kept) == 3
    assert all((cache / name / "context.onnx").is_file() for name in kept)


def test_qnn_computes_in_half_precision_which_fp32_does_not_allow(path: Path) -> None:
    simulated()
    outcome = fresh(
        "import json, sys, sestina\n"
        "try: sestina.load(sys.argv[1], provider='qnn', precision='fp32', strict=True)\n"
        "except sestina.ProviderError as error: print('\\nsaid:', json.dumps(str(error)))",
        path,
    )
    assert "qnn with portable-fp32.onnx: its vectors are" in outcome
    assert "from PyTorch's, the variant's tolerance is 1e-05" in outcome


def test_auto_leaves_a_simulator_alone(path: Path) -> None:
    simulated()
    provider, file, *_, passed_over, passed, worst, _ = fresh(_LOAD, "auto", path, "")
    assert (provider, file, passed) == ("cpu", "cpu-fp32.onnx", True)
    assert worst < 1e-6
    assert any(why.startswith("qnn: its device here is") for why in passed_over)


def test_standard_output_is_ours_alone(path: Path) -> None:
    """QNN's library prints to standard output when a process ends, which would spoil what is piped on."""
    simulated()
    command = [sys.executable, "-m", "sestina", "encode", str(path), "a text", "--provider", "qnn"]
    done = subprocess.run(
        command, capture_output=True, text=True, env={"PYTHONPATH": ":".join(filter(None, sys.path))}
    )
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    assert json.loads(line)["text"] == "a text"


# No network and a read-only file system for the process and its native libraries, where the kernel lets us.
_JAIL = ["unshare", "--net", "--mount", "sh", "-c", 'mount -o remount,bind,ro / && exec "$@"', "jail"]


def test_qnn_needs_no_network_and_writes_nothing(path: Path) -> None:
    simulated()
    if shutil.which("unshare") is None or subprocess.run([*_JAIL, "true"], capture_output=True).returncode:
        pytest.skip("this kernel or user may not make namespaces")
    done = subprocess.run(
        [*_JAIL, sys.executable, "-B", "-m", "sestina", "verify", str(path), "--provider", "qnn", "--strict"],
        capture_output=True, text=True, env={"PATH": os.environ["PATH"], "PYTHONPATH": ":".join(filter(None, sys.path))},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("passed: ")

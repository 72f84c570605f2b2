"""The runtime needs numpy, onnxruntime and tokenizers; it opens no socket and writes no file."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from _unmeasured import unmeasured

SCRIPT = Path(__file__).with_name("check_slim.py")

# No network and a read-only file system for the process and its native libraries, where the kernel lets us.
JAIL = ["unshare", "--net", "--mount", "sh", "-c", 'mount -o remount,bind,ro / && exec "$@"', "jail"]


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=120, env=unmeasured())


def test_runtime_with_nothing_else_there(bundle: Path) -> None:
    done = run(sys.executable, "-IB", str(SCRIPT), str(bundle))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("slim: ok")


def test_runtime_without_network_on_a_read_only_file_system(bundle: Path) -> None:
    if shutil.which("unshare") is None or run(*JAIL, "true").returncode:
        pytest.skip("this kernel or user may not make namespaces")
    assert run(*JAIL, "touch", str(bundle / "x")).returncode != 0, "the jail does not hold"
    done = run(*JAIL, sys.executable, "-IB", str(SCRIPT), str(bundle))
    assert done.returncode == 0, done.stderr


def test_onnxruntime_leaves_no_trace_of_telemetry(bundle: Path, tmp_path: Path) -> None:
    """Since 1.31 its wheels begin to collect events, in a file, where nothing tells them not to."""
    code = "import sys, sestina; sestina.load(sys.argv[1]).encode('a')"
    plain = {key: value for key, value in unmeasured().items() if key != "ORT_DISABLE_TELEMETRY"}
    environment = {**plain, "TMPDIR": str(tmp_path), "HOME": str(tmp_path)}
    subprocess.run([sys.executable, "-c", code, str(bundle)], check=True, env=environment)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("use", ["import torch", "import socket; socket.socket()", "open('x', 'w')"])
def test_the_check_itself_can_fail(use: str, tmp_path: Path) -> None:
    """Negative control: each thing that is forbidden stops the script."""
    code = SCRIPT.read_text().replace("    import sestina\n", f"    {use}\n", 1)
    (tmp_path / "check.py").write_text(code)
    done = run(sys.executable, "-IB", str(tmp_path / "check.py"), "bundle")
    assert done.returncode == 1
    assert "AssertionError" in done.stderr or "ModuleNotFoundError" in done.stderr
    assert not (tmp_path / "x").exists()


def test_importing_is_cheap_in_modules() -> None:
    """`import sestina` costs nothing; numpy, onnxruntime and tokenizers come when they are used."""
    code = "import sys, sestina; print([n for n in ('onnxruntime', 'tokenizers', 'numpy', 'argparse', 'csv') if n in sys.modules])"
    assert run(sys.executable, "-c", code).stdout == "[]\n"

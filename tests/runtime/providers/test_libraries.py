"""NVIDIA's libraries where pip puts them: made here by a compiler, under their names, to see which is loaded."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

_COMPILER = shutil.which("cc")
pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or _COMPILER is None, reason="libraries are made by a compiler, for Linux"
)

_PROGRAM = """
import ctypes, os, sys
from types import SimpleNamespace
from sestina._providers.libraries import preload_cuda
if len(sys.argv) > 2:
    ctypes.CDLL(sys.argv[2])
preload_cuda(SimpleNamespace(cuda_version=sys.argv[1] or None))
with open("/proc/self/maps") as maps:
    print(*{line.split()[-1] for line in maps if "/libcu" in line}, sep="\\n")
"""


def library(folder: Path, name: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    source = folder / "empty.c"
    source.write_text("int nothing;")
    made = folder / name
    assert _COMPILER is not None
    subprocess.run(
        [_COMPILER, "-shared", "-fPIC", f"-Wl,-soname,{name}", str(source), "-o", str(made)], check=True
    )
    return made


def loaded(site: Path, version: str, *before: Path) -> set[str]:
    """What a fresh process has loaded of CUDA with these packages."""
    environment = {"PYTHONPATH": f"{':'.join(filter(None, sys.path))}:{site}"}
    command = [sys.executable, "-W", "error", "-c", _PROGRAM, version, *map(str, before)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("version", "places"),
    [
        ("13.0", {"cu13": ["libcudart.so.13", "libcublas.so.13"], "cudnn": ["libcudnn.so.9"]}),
        ("12.8", {"cuda_runtime": ["libcudart.so.12"], "cublas": ["libcublas.so.12"]}),
    ],
)
def test_both_layouts_of_nvidias_packages(tmp_path: Path, version: str, places: dict[str, list[str]]) -> None:
    made = {
        str(library(tmp_path / "nvidia" / part / "lib", name))
        for part, names in places.items()
        for name in names
    }
    assert loaded(tmp_path, version) == made


def test_of_another_cuda_nothing_is_loaded(tmp_path: Path) -> None:
    library(tmp_path / "nvidia" / "cu13" / "lib", "libcudart.so.13")
    assert loaded(tmp_path, "12.8") == set()
    assert loaded(tmp_path, "") == set()  # as of an onnxruntime for the CPU


def test_what_the_application_has_loaded_stays(tmp_path: Path) -> None:
    library(tmp_path / "site" / "nvidia" / "cu13" / "lib", "libcudart.so.13")
    own = library(tmp_path / "own", "libcudart.so.13")
    assert loaded(tmp_path / "site", "13.0", own) == {str(own)}


def test_a_damaged_library_is_passed_over(tmp_path: Path) -> None:
    folder = tmp_path / "nvidia" / "cu13" / "lib"
    library(folder, "libcudart.so.13").write_bytes(b"no library")
    blas = library(folder, "libcublas.so.13")
    assert loaded(tmp_path, "13.0") == {str(blas)}

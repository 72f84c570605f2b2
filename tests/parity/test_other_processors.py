"""The same int8 vectors on an x86 processor without VNNI, whose byte products can saturate."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

import sestina

EMULATOR = "qemu-x86_64"
HASWELL = [EMULATOR, "-cpu", "Haswell"]  # AVX2, neither AVX-512 nor VNNI
CODE = """
import sys, numpy as np, sestina
with sestina.load(sys.argv[1], precision="int8", threads=1) as encoder:
    assert encoder.verify().passed
    np.save(sys.argv[2], encoder.encode(sys.argv[3:]))
"""
TEXTS = ["the transformer is an innovative nlp model", "a", "naïve 注意力", "tokens of a sequence " * 9]

pytestmark = pytest.mark.skipif(
    shutil.which(EMULATOR) is None or platform.machine() != "x86_64", reason=f"{EMULATOR} is not here"
)


def test_int8_without_vnni(bundle: Path, tmp_path: Path) -> None:
    packages = [Path(module.__file__ or "").parents[1] for module in (np, onnxruntime, sestina)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, packages))}
    python = str(
        Path(sys.executable).resolve()
    )  # past the virtual environment's link, which qemu follows too late
    subprocess.run(
        [*HASWELL, python, "-W", "ignore", "-c", CODE, str(bundle), str(tmp_path / "there.npy"), *TEXTS],
        env=environment, check=True, capture_output=True, timeout=120,
    )  # fmt: skip
    with sestina.load(bundle, precision="int8", threads=1) as encoder:
        here = encoder.encode(TEXTS)
    # Integers agree exactly; float sums between them may be ordered otherwise.
    np.testing.assert_allclose(np.load(tmp_path / "there.npy"), here, atol=1e-6)

"""NVIDIA's libraries where pip puts them, loaded before onnxruntime looks for them.

onnxruntime-gpu finds CUDA by the dynamic linker's paths alone; where that fails it runs on the CPU, and says
so only on standard error. Its own `preload_dlls` looks nowhere but beside itself, which is the wrong place
for a folder of `pip install --target` or an environment that sees the system's packages.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import Any

from sestina._handlers import let_through
from sestina._process.native import opening

# In an order in which none needs one after it, with the major version that is not CUDA's own, by CUDA's.
_NAMES = ("cudart", "nvrtc", "cublasLt", "cublas", "nvJitLink", "curand", "cufft", "cudnn")
_OTHER = {"curand": {12: 10, 13: 10}, "cufft": {12: 11, 13: 12}, "cudnn": {12: 9, 13: 9}}


def preload_cuda(module: Any) -> None:
    """Load what is found; what is loaded already, by PyTorch or by the application, stays what is used.

    Nothing is raised: what is missing shows where onnxruntime is to start its provider.

    Args:
        module: onnxruntime, which says the CUDA that it was built with.
    """
    major = str(getattr(module, "cuda_version", None) or "").partition(".")[0]
    if sys.platform != "linux" or not major.isdigit():
        return
    with opening:
        import ctypes

    for name in _names(int(major)):
        try:
            ctypes.CDLL(name, mode=os.RTLD_NOLOAD | os.RTLD_NOW)
        except OSError as error:
            let_through(error)
            _first(name, ctypes)


def _names(major: int) -> Iterator[str]:
    for name in _NAMES:
        number = _OTHER.get(name, {}).get(major, major)
        yield f"lib{name}.so.{number}"


def _first(name: str, ctypes: Any) -> None:
    """Load the first library of that name in NVIDIA's packages; else leave it to the linker."""
    for entry in sys.path:
        packages = f"{entry or os.curdir}/nvidia"
        try:
            parts = sorted(os.listdir(packages))  # noqa: PTH208  a start without pathlib
        except OSError as error:
            let_through(error)
            continue
        for part in parts:  # cu13/lib, or with CUDA 12 cublas/lib, cudnn/lib, ...
            try:
                ctypes.CDLL(f"{packages}/{part}/lib/{name}")
            except OSError as error:  # not there, or damaged
                let_through(error)
                continue
            return

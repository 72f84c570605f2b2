"""PyTorch's own work in an export, spared from coverage: nobody measures it here, and traced an export takes two thirds longer.

What encoders are written as is run by PyTorch, a node at a time, and stays measured: coverage is off within what each
node starts, and within what is done once all of them are known. Where a version of PyTorch has no function of such a
name, its exports are slower under coverage, and nothing else.
"""

from __future__ import annotations

import functools
import importlib
import sys
from typing import Any

_SPARED = (
    ("torch._subclasses.fake_tensor", "FakeTensorMode.__torch_dispatch__"),
    ("torch.fx.experimental.proxy_tensor", "ProxyTorchDispatchMode.__torch_dispatch__"),
    ("torch.export", "ExportedProgram.run_decompositions"),
    ("torch.onnx._internal.exporter._core", "exported_program_to_ir"),
    ("onnxscript.optimizer", "optimize"),
)


def spare() -> None:
    """Do so in this process, if it is traced."""
    if sys.gettrace() is None:
        return
    for module, name in _SPARED:
        try:
            owner: Any = importlib.import_module(module)
        except ImportError:
            continue
        *outer, last = name.split(".")
        for part in outer:
            owner = getattr(owner, part, None)
        if hasattr(owner, last):
            setattr(owner, last, _untraced(getattr(owner, last)))


def _untraced(function: Any) -> Any:
    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        trace = sys.gettrace()
        sys.settrace(None)
        try:
            return function(*args, **kwargs)
        finally:
            sys.settrace(trace)

    return call

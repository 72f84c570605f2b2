"""onnxruntime's own format, which its smallest builds for phones read, and the operators they must have."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from sestina_export._tools import quiet_tools

__all__ = ["to_ort"]

_LEVEL = "ORT_CONVERT_ONNX_MODELS_TO_ORT_OPTIMIZATION_LEVEL"


def to_ort(graph: bytes) -> tuple[bytes, str]:
    """A serialised ONNX model in ORT format, and its required-operators configuration.

    The graph stays as it was exported: what onnxruntime would fuse is fused, and more would only suit the
    machine that exports.

    Returns: the file's bytes, and the text that `build.sh --include_ops_by_config` reads.
    """
    with tempfile.TemporaryDirectory() as folder, _level("disable"), quiet_tools():
        from onnxruntime.tools import convert_onnx_models_to_ort as tool

        model = Path(folder) / "model.onnx"
        model.write_bytes(graph)
        tool.convert_onnx_models_to_ort(model, optimization_styles=[tool.OptimizationStyle.Fixed])
        (converted,) = Path(folder).glob("*.ort")
        (config,) = Path(folder).glob("*.config")
        operators = [line for line in config.read_text("utf-8").splitlines() if not line.startswith("#")]
        return converted.read_bytes(), "\n".join(operators) + "\n"


@contextlib.contextmanager
def _level(name: str) -> Iterator[None]:
    """The tool takes its optimisation level from the environment alone."""
    before = os.environ.get(_LEVEL)
    os.environ[_LEVEL] = name
    try:
        yield
    finally:
        del os.environ[_LEVEL]
        if before is not None:
            os.environ[_LEVEL] = before

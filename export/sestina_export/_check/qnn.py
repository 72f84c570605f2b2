"""Qualcomm's processor on this machine: onnxruntime's plugin, and the simulator in its x86-64 wheel."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from sestina import MissingExtraError
from sestina._onnxruntime import onnxruntime
from sestina_export._errors import ExportError

__all__ = ["open_on_simulator"]

# A Snapdragon 8 Gen 3, as the simulator knows it; inputs and outputs are quantised on it, not on the CPU.
_OPTIONS = {"backend_type": "htp", "soc_model": "57", "htp_arch": "75", "offload_graph_io_quantization": "0"}


def open_on_simulator(graph: str | Path, length: int, *, strict: bool) -> Any:
    """An `InferenceSession` for one text padded to a length, on the simulated HTP.

    A float32 graph runs in float16 there. A plugin stays registered for the life of the process.

    Args:
        graph: File of a variant with a mask.
        length: The bucket, in tokens.
        strict: Whether a node that the HTP does not take is an error, or runs on the CPU.

    Raises:
        sestina.MissingExtraError: Where onnxruntime-qnn is not installed.
        ExportError: Where the plugin offers no device, or the graph cannot be opened on it.
    """
    module = onnxruntime()
    devices = _devices(module)
    options = module.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    # Shapes become constants once the axes are fixed, and only this level folds them.
    options.graph_optimization_level = module.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.add_free_dimension_override_by_name("batch", 1)
    options.add_free_dimension_override_by_name("length", length)
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    if strict:
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    options.add_provider_for_devices(devices[:1], _OPTIONS)
    try:
        return module.InferenceSession(str(graph), options, enable_fallback=0)
    except Exception as error:  # noqa: BLE001  onnxruntime has no common root
        why = " ".join(str(error).split())[:300]
        raise ExportError(f"{Path(graph).name} cannot be opened on the simulated HTP: {why}") from None


def _devices(module: Any) -> list[Any]:
    """The plugin's devices; it is registered where it is not yet."""
    try:
        package = importlib.import_module("onnxruntime_qnn")
    except ModuleNotFoundError:
        raise MissingExtraError(
            "checking for qnn needs onnxruntime_qnn, which is not installed: "
            "pip install --no-deps onnxruntime-qnn",
            name="onnxruntime_qnn",
        ) from None
    name = package.get_ep_name()
    if not _named(module, name):
        try:
            module.register_execution_provider_library(name, package.get_library_path())
        except Exception as error:  # noqa: BLE001  onnxruntime has no common root
            why = " ".join(str(error).split())[:300]
            raise ExportError(
                f"onnxruntime {module.__version__} cannot load onnxruntime-qnn: {why}"
            ) from None
    devices = _named(module, name)
    if not devices:
        raise ExportError(
            "onnxruntime-qnn offers no device on this machine: its simulator is in the x86-64 wheel"
        )
    return devices


def _named(module: Any, name: str) -> list[Any]:
    return [device for device in module.get_ep_devices() if device.ep_name == name]

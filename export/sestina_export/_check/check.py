"""What a mobile provider will take of a bundle, found out before anything is shipped."""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import onnx

from sestina._bundle.bundle import Bundle
from sestina._bundle.manifest import Variant
from sestina._onnxruntime import onnxruntime
from sestina_export._check.qnn import open_on_simulator
from sestina_export._errors import ExportError
from sestina_export._tools import quiet_tools

__all__ = ["CHECKED", "PlacementCheck", "check"]

CHECKED = ("coreml", "nnapi", "qnn")
_NOTES = {
    "nnapi": "Google deprecated NNAPI with Android 15: do not build on it",
    "coreml": "ML Program, by operator alone; what Core ML compiles shows on a device",
    "qnn": "the HTP of a Snapdragon 8 Gen 3, simulated",
}


@dataclass(frozen=True, slots=True)
class PlacementCheck:
    """How much of one graph a provider takes at one length.

    Attributes:
        file: The variant's file.
        provider: "coreml", "nnapi" or "qnn".
        length: The bucket, in tokens.
        how: "checked statically" by onnxruntime's usability checker, or "simulated".
        nodes: Nodes of the graph once the axes are fixed.
        taken: How many of them the provider takes.
        partitions: In how many pieces: between two of them data goes back to the CPU.
        not_taken: Operators that it leaves to the CPU, and how many nodes of each.
        note: What there is to know of the provider or of the way it was checked.
    """

    file: str
    provider: str
    length: int
    how: Literal["checked statically", "simulated"]
    nodes: int
    taken: int
    partitions: int
    not_taken: Mapping[str, int]
    note: str


def check(bundle: str | os.PathLike[str], provider: str) -> tuple[PlacementCheck, ...]:
    """What a provider will take of every variant with a mask, at each of its lengths.

    Args:
        bundle: Its directory.
        provider: "coreml" and "nnapi" are checked statically, "qnn" on the simulator of onnxruntime-qnn.

    Raises:
        ExportError: On another provider, or where no variant has a mask and fixed lengths.
        sestina.MissingExtraError: Where "qnn" is asked for and onnxruntime-qnn is not installed.
        sestina.BundleError: Where the bundle cannot be read, or a file is not what its manifest states.
    """
    if provider not in CHECKED:
        raise ExportError(f"provider is {provider!r}; what can be checked is {', '.join(CHECKED)}")
    read = Bundle(bundle)
    read.check(None)
    variants = [variant for variant in read.manifest.variants if variant.buckets]
    if not variants:
        raise ExportError(
            f"{read.path} has no variant of fixed lengths, which {provider} needs: "
            "export one with --target portable"
        )
    return tuple(
        _checked(read, variant, provider, length) for variant in variants for length in variant.buckets
    )


def _checked(bundle: Bundle, variant: Variant, provider: str, length: int) -> PlacementCheck:
    path = Path(bundle.file(variant.entry.file))
    if provider == "qnn":
        total, taken, partitions = _simulated(path, length)
    else:
        with tempfile.TemporaryDirectory() as folder:
            fixed = _fixed(path, length, Path(folder))
        total, taken, partitions = _by_operator(fixed, provider)
    return PlacementCheck(
        file=variant.entry.file,
        provider=provider,
        length=length,
        how="simulated" if provider == "qnn" else "checked statically",
        nodes=total.total(),
        taken=taken.total(),
        partitions=partitions,
        not_taken=dict(sorted((total - taken).items())),
        note=_NOTES[provider],
    )


def _simulated(path: Path, length: int) -> tuple[Counter[str], Counter[str], int]:
    """(all nodes, those the HTP takes, by operator, and its partitions)."""
    session = open_on_simulator(path, length, strict=False)
    total, taken, partitions = Counter[str](), Counter[str](), 0
    for part in session.get_provider_graph_assignment_info():
        operators = Counter(node.op_type for node in part.get_nodes())
        total += operators
        if part.ep_name == "QNNExecutionProvider":
            taken += operators
            partitions += 1
    return total, taken, partitions


def _fixed(path: Path, length: int, folder: Path) -> onnx.ModelProto:
    """The graph as a provider sees it: its axes fixed, what became constant folded, its shapes inferred."""
    module = onnxruntime()
    options = module.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = module.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.add_free_dimension_override_by_name("batch", 1)
    options.add_free_dimension_override_by_name("length", length)
    options.optimized_model_filepath = str(folder / "fixed.onnx")
    # Weights are looked at by nobody: those in a file of their own stay there.
    options.add_session_config_entry("session.optimized_model_external_initializers_file_name", "weights")
    options.add_session_config_entry(
        "session.optimized_model_external_initializers_min_size_in_bytes", "65536"
    )
    module.InferenceSession(str(path), options, providers=["CPUExecutionProvider"], enable_fallback=0)
    return onnx.shape_inference.infer_shapes(onnx.load(folder / "fixed.onnx", load_external_data=False))


def _by_operator(graph: onnx.ModelProto, provider: str) -> tuple[Counter[str], Counter[str], int]:
    """As `_simulated`, by the lists of operators that onnxruntime's usability checker has."""
    with quiet_tools():
        from onnxruntime.tools.mobile_helpers import usability_checker as tool

        if provider == "nnapi":
            found = tool.check_nnapi_partitions(graph, True)
        else:
            found = tool.check_coreml_partitions(graph, True, "coreml_supported_mlprogram_ops.md")
    total = Counter(node.op_type for node in graph.graph.node)
    taken = Counter(node.op_type for group in _groups(found) for node in group)
    return total, taken, found.num_partitions


def _groups(found: Any) -> Sequence[Sequence[Any]]:
    groups: Sequence[Sequence[Any]] = found.supported_groups
    return groups

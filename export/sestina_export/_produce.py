"""One variant from its specification to a file that is written and measured."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from traceback import clear_frames
from typing import Any

import onnx
import torch

from sestina._bundle.graph import Graph
from sestina._bundle.manifest import FileEntry, Variant
from sestina_export._build import build_graph, interface
from sestina_export._graph.aligned import aligned
from sestina_export._graph.buckets import buckets_for
from sestina_export._graph.interface import OUTPUTS
from sestina_export._graph.mobile import to_ort
from sestina_export._graph.shipped import shipped
from sestina_export._graph.weights import weights_path
from sestina_export._proof.parity import (
    Difference,
    as_parity,
    figure,
    measure_batches,
    measure_padding,
    measure_shapes,
)
from sestina_export._proof.quality import QualityGate, measure_quality
from sestina_export._variants import VARIANTS, VariantSpec
from sestina_model._files import file_sha256
from sestina_model.checkpoint import Checkpoint

__all__ = ["NOT_YET", "VariantJob", "file_entry", "operators_file", "write_text"]

_CPU = "CPUExecutionProvider"
_CALIBRATED = ("int8", "a16w8")
NOT_YET = 1e30  # a tolerance while the goldens are being measured


@dataclass(frozen=True, slots=True)
class VariantJob:
    """What every variant of one export is made from.

    Attributes:
        checkpoint: The source.
        provenance: For the graphs' metadata.
        texts: To calibrate with, and held back to measure on.
        gate: Of quantised variants; None: each has its own.
        say: Reports a step.
        made: Graphs already made, by what they were made with: a container more costs no calibration more.
    """

    checkpoint: Checkpoint
    provenance: Mapping[str, str | None]
    texts: tuple[Sequence[str], Sequence[str]]
    gate: QualityGate | None
    say: Callable[[str], None]
    made: dict[object, onnx.ModelProto] = field(default_factory=dict)

    def write(self, spec: VariantSpec, folder: Path) -> Variant:
        """Make, measure and write one variant.

        Raises:
            GraphError, ParityError, QualityError: As their names say; nothing is written then.
        """
        path = folder / spec.file
        weights = weights_path(path)
        try:
            variant = self._written(spec, path, weights)
        except BaseException as error:  # nothing of a variant that is left out may stay in the bundle
            clear_frames(error.__traceback__)  # they hold its files open, which Windows does not remove
            for written in (path, weights, path.with_name(operators_file(spec.file))):
                written.unlink(missing_ok=True)
            raise
        if weights.exists():
            return variant._replace(weights=(file_entry(weights),))
        return variant

    def _written(self, spec: VariantSpec, path: Path, weights: Path) -> Variant:
        self.say(f"exporting {spec.file}")
        graph = self._graph(spec, weights)
        inputs, outputs = interface(graph)
        content = graph.SerializeToString(deterministic=True)
        del graph  # each copy counts, and there is one here and one there
        if spec.container == "ort":
            content, operators = to_ort(content)
            write_text(path.with_name(operators_file(spec.file)), operators)
        else:
            content = aligned(content)
        path.write_bytes(content)
        del content
        max_tokens = self.checkpoint.model.head.max_tokens
        buckets = buckets_for(max_tokens, spec.least_bucket) if spec.shapes == "static" else ()
        self.say(f"measuring {spec.file} against PyTorch")
        parity = self._measured(spec, shipped(path, weights), buckets)
        return Variant(
            file_entry(path), spec.target, spec.precision, spec.shapes, inputs, outputs, parity, buckets
        )

    def _graph(self, spec: VariantSpec, weights: Path) -> onnx.ModelProto:
        recipe = _recipe(spec)
        if recipe in self.made:
            return self.made[recipe]
        form = spec.form(self.checkpoint, self.texts[0])
        beside = weights if spec.container == "onnx" else None  # an .ort file holds its own
        graph = build_graph(self.checkpoint.model, spec, form, self.provenance, beside)
        shared = [_recipe(each) for each in VARIANTS].count(recipe) > 1
        if shared and not weights.exists():  # a graph that names its file serves no other variant
            self.made[recipe] = graph
        return graph

    def _measured(self, spec: VariantSpec, ships: bytes | Graph, buckets: Sequence[int]) -> dict[str, Any]:
        """Agreement with PyTorch as the manifest states it, once it is found to be enough."""
        calibration, held_back = self.texts
        model = self.checkpoint.model
        parity: dict[str, Any] = {
            "reference": f"torch {torch.__version__}",
            "tolerance": spec.tolerance or NOT_YET,
            **({"float16_tolerance": spec.float16_tolerance} if spec.float16_tolerance else {}),
            **_where_it_ran(spec),
        }
        if spec.gate is not None:
            gate = self.gate or spec.gate
            parity["cosine"] = measure_quality(ships, self.checkpoint, held_back, gate, spec.file, buckets)
            if spec.precision == "int8":
                parity["bit_equal_batches"] = measure_batches(ships, model, spec.file)
            if spec.precision in _CALIBRATED:
                parity["calibration"] = {"texts": len(calibration), "sha256": _texts_sha256(calibration)}
        elif spec.tolerance is not None:
            differences = measure_shapes(ships, model, spec.tolerance, spec.file)
            parity["worst"] = {output: _worst(differences, output) for output in OUTPUTS}
            parity["shapes"] = as_parity(differences)
            if spec.shapes == "static":
                differences = measure_padding(ships, model, spec.tolerance, spec.file)
                parity["padded"] = {output: _worst(differences, output) for output in OUTPUTS}
        return parity


def _recipe(spec: VariantSpec) -> object:
    """What a graph is made with: variants of one recipe have the same."""
    return (spec.form, spec.opset, spec.passes, spec.shapes)


def _where_it_ran(spec: VariantSpec) -> dict[str, str]:
    """Empty where the variant is measured on its own provider; else what the manifest then states."""
    if spec.provider == _CPU:
        return {}
    reason = f"{spec.provider} is not part of an export; the same graph was measured on {_CPU}"
    return {"run": "not run here", "reason": reason}


def operators_file(file: str) -> str:
    """The file that names the operators which a small build of onnxruntime must have for an .ort file."""
    return file.removesuffix(".ort") + ".required_operators.config"


def file_entry(path: Path) -> FileEntry:
    """A written file as the manifest lists it."""
    return FileEntry(path.name, file_sha256(path), path.stat().st_size)


def write_text(path: Path, text: str) -> None:
    """UTF-8 with plain line ends on every operating system."""
    path.write_text(text, encoding="utf-8", newline="\n")


def _worst(differences: Sequence[Difference], output: str) -> float:
    return figure(max(each.error for each in differences if each.output == output))


def _texts_sha256(texts: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()

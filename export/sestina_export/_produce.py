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
from sestina._bundle.manifest import FileEntry, TensorInfo, Variant
from sestina._onnxruntime import line
from sestina_export._build import build_graph, interface
from sestina_export._errors import GraphError
from sestina_export._forms.base import Form
from sestina_export._forms.linears import place_of
from sestina_export._graph.aligned import aligned
from sestina_export._graph.buckets import buckets_for
from sestina_export._graph.interface import outputs_of
from sestina_export._graph.mobile import to_ort
from sestina_export._graph.shipped import shipped
from sestina_export._graph.states_part import in_parts
from sestina_export._graph.weights import weights_path
from sestina_export._proof.parity import (
    Difference,
    as_parity,
    figure,
    measure_batches,
    measure_padding,
    measure_shapes,
)
from sestina_export._proof.quality import MissedGateError
from sestina_export._proof.result_gates import measure_results
from sestina_export._proof.task_gates import AnyGate, gate_of, measure_task
from sestina_export._variants import FormMaker, VariantSpec
from sestina_model._files import file_sha256
from sestina_model.checkpoint import Checkpoint
from sestina_model.inputs import Text

__all__ = ["NOT_YET", "VariantJob", "file_entry", "operators_file", "write_text"]

_CPU = "CPUExecutionProvider"
_CALIBRATED = ("int8", "a16w8")
Interface = tuple[tuple[TensorInfo, ...], tuple[TensorInfo, ...]]
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
        specs: All that are made, in order.
        forms: How encoders are written, by what made it: a container more costs no calibration more.
    """

    checkpoint: Checkpoint
    provenance: Mapping[str, str | None]
    texts: tuple[Sequence[Text], Sequence[Text]]
    gate: AnyGate | None
    say: Callable[[str], None]
    specs: Sequence[VariantSpec]
    forms: dict[FormMaker, Form] = field(default_factory=dict)

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
            if type(error).__module__.startswith("onnxruntime."):  # it has no common root
                raise GraphError(f"{spec.file} cannot be run by onnxruntime: {line(error)}") from error
            raise
        finally:
            later = self.specs[self.specs.index(spec) + 1 :]
            if all(other.form != spec.form for other in later):  # one of int8 has all that it rounded
                self.forms.pop(spec.form, None)
        if weights.exists():
            return variant._replace(weights=(file_entry(weights),))
        return variant

    def _written(self, spec: VariantSpec, path: Path, weights: Path) -> Variant:
        self.say(f"exporting {spec.file}")
        buckets = self._buckets(spec)
        while True:
            inputs, outputs = self._put(spec, path, weights)
            self.say(f"measuring {spec.file} against PyTorch")
            try:
                parity = self._measured(spec, shipped(path, weights), buckets)
                break
            except MissedGateError as error:
                clear_frames(error.__traceback__)  # they hold the files that are written anew
                if not self._refined(spec):
                    raise
        if kept := getattr(self.forms[spec.form], "kept", None):
            parity["kept_in_float32"] = sorted(place_of(name).removeprefix("encoder.") for name in kept)
        return Variant(
            file_entry(path), spec.target, spec.precision, spec.shapes, inputs, outputs, parity, buckets
        )

    def _put(self, spec: VariantSpec, path: Path, weights: Path) -> Interface:
        """Write the graph of a variant. Returns: its interface."""
        for old in (path, weights):
            old.unlink(missing_ok=True)
        graph = self._graph(spec, weights)
        stated = interface(graph)
        content, states = in_parts(graph)
        del graph  # each copy counts, and there is one here and one there
        if spec.container == "ort":
            content, operators = to_ort(content + states)
            write_text(path.with_name(operators_file(spec.file)), operators)
            path.write_bytes(content)
        else:
            content = aligned(content)
            with path.open("wb") as file:
                file.writelines((content, states))
        return stated

    def _buckets(self, spec: VariantSpec) -> tuple[int, ...]:
        max_tokens = self.checkpoint.model.head.max_tokens
        return buckets_for(max_tokens, spec.least_bucket) if spec.shapes == "static" else ()

    def _graph(self, spec: VariantSpec, weights: Path) -> onnx.ModelProto:
        form = self.forms.get(spec.form)
        if form is None:
            form = self.forms[spec.form] = spec.form(self.checkpoint, self.texts[0])
        beside = weights if spec.container == "onnx" else None  # an .ort file holds its own
        return build_graph(self.checkpoint.model, spec, form, self.provenance, beside)

    def _refined(self, spec: VariantSpec) -> bool:
        """Whether there is a form nearer to PyTorch than the one that missed its gate; it is made next."""
        form = spec.finer and spec.finer(self.forms[spec.form], self.checkpoint, self.texts[0])
        if form is None:
            return False
        self.say(f"{spec.file} missed its gate: keeping more of it in float32")
        self.forms[spec.form] = form
        return True

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
            gate = gate_of(self.gate, spec.gate, model.head.task)
            parity |= measure_task(ships, self.checkpoint, held_back, gate, spec.file, buckets)
            if model.head.token_outputs is not None:
                texts = [text for text in held_back if isinstance(text, str)]
                parity["results"] = measure_results(ships, self.checkpoint, texts, spec.file, buckets)
            if spec.precision == "int8":
                parity["bit_equal_batches"] = measure_batches(ships, model, spec.file)
            if spec.precision in _CALIBRATED:
                parity["calibration"] = {"texts": len(calibration), "sha256": _texts_sha256(calibration)}
        elif spec.tolerance is not None:
            differences = measure_shapes(ships, model, spec.tolerance, spec.file)
            parity["worst"] = {output: _worst(differences, output) for output in outputs_of(model.head)}
            parity["shapes"] = as_parity(differences)
            if spec.shapes == "static":
                differences = measure_padding(ships, model, spec.tolerance, spec.file)
                parity["padded"] = {output: _worst(differences, output) for output in outputs_of(model.head)}
        return parity


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


def _texts_sha256(texts: Sequence[Text]) -> str:
    lines = (text if isinstance(text, str) else "\t".join(text) for text in texts)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()

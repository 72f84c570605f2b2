"""One variant from its specification to a measured file, and the finished bundle held to its goldens."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

import sestina
from sestina._manifest import GOLDEN_VECTORS, MANIFEST, FileEntry, Manifest, Variant
from sestina_export._errors import ParityError
from sestina_export._graph import OUTPUTS, build_graph, interface
from sestina_export._parity import Difference, as_parity, figure, measure_batches, measure_shapes
from sestina_export._quality import QualityGate, golden_tolerance, measure_quality
from sestina_export._variants import VariantSpec
from sestina_model.checkpoint import Checkpoint

__all__ = ["VariantJob", "file_entry", "verified", "write_text"]

_NOT_YET = 1e30  # a tolerance while the goldens are being measured


@dataclass(frozen=True, slots=True)
class VariantJob:
    """What every variant of one export is made from.

    Attributes:
        checkpoint: The source.
        provenance: For the graphs' metadata.
        texts: To calibrate with, and held back to measure on.
        gate: Of quantised variants.
        say: Reports a step.
    """

    checkpoint: Checkpoint
    provenance: Mapping[str, str | None]
    texts: tuple[Sequence[str], Sequence[str]]
    gate: QualityGate
    say: Callable[[str], None]

    def write(self, spec: VariantSpec, folder: Path) -> Variant:
        """Make, measure and write one variant.

        Raises:
            GraphError, ParityError, QualityError: As their names say; nothing is written then.
        """
        calibration, held_back = self.texts
        model = self.checkpoint.model
        self.say(f"exporting {spec.file}")
        form = spec.form(self.checkpoint, calibration)
        graph = build_graph(model, spec, form, self.provenance)
        content = graph.SerializeToString(deterministic=True)
        self.say(f"measuring {spec.file} against PyTorch")
        parity: dict[str, Any] = {
            "reference": f"torch {torch.__version__}",
            "tolerance": spec.tolerance or _NOT_YET,
        }
        if spec.tolerance is None:
            parity["cosine"] = measure_quality(content, self.checkpoint, held_back, self.gate, spec.file)
            parity["bit_equal_batches"] = measure_batches(content, model, spec.file)
            parity["calibration"] = {"texts": len(calibration), "sha256": _texts_sha256(calibration)}
        else:
            differences = measure_shapes(content, model, spec.tolerance, spec.file)
            parity["worst"] = {output: _worst(differences, output) for output in OUTPUTS}
            parity["shapes"] = as_parity(differences)
        (folder / spec.file).write_bytes(content)
        inputs, outputs = interface(graph)
        entry = file_entry(folder / spec.file)
        return Variant(entry, spec.target, spec.precision, spec.shapes, inputs, outputs, parity)


def verified(manifest: Manifest, folder: Path) -> tuple[Manifest, sestina.Verification]:
    """Load the bundle with each variant in turn, hold the goldens, and write the final manifest.

    Returns: the manifest with the goldens' figures, and how they came out for the preferred variant.

    Raises:
        ParityError: Naming the variant, the golden, the difference and the tolerance.
    """
    # Tolerances are for values up to 1; larger goldens may differ in proportion.
    scale = max(1.0, float(np.abs(np.load(folder / GOLDEN_VECTORS)).max()))
    variants = []
    for variant in manifest.variants:
        parity = {**variant.parity, "tolerance": variant.tolerance * scale}
        alone = replace(manifest, variants=(replace(variant, parity=parity),))
        write_text(folder / MANIFEST, alone.to_json())
        with sestina.load(folder, threads=1) as encoder:
            verification = encoder.verify()
        _refuse_failures(variant.entry.file, verification)
        parity["goldens"] = {"texts": len(verification.goldens), "worst": figure(verification.worst_error)}
        if variant.tolerance == _NOT_YET:
            parity["tolerance"] = golden_tolerance(verification.worst_error)
        variants.append(replace(variant, parity=parity))
    manifest = replace(manifest, variants=tuple(variants))
    write_text(folder / MANIFEST, manifest.to_json())
    with sestina.load(folder, threads=1) as encoder:
        return manifest, encoder.verify()


def _refuse_failures(file: str, verification: sestina.Verification) -> None:
    for golden in verification.goldens:
        if not golden.passed:
            how = f"by {golden.error:.3g}; the tolerance is {verification.tolerance:.3g}"
            how = how if golden.ids_equal else "in its token ids"
            raise ParityError(f"{file}: golden {golden.name!r} differs from PyTorch {how}")


def file_entry(path: Path) -> FileEntry:
    """A written file as the manifest lists it."""
    content = path.read_bytes()
    return FileEntry(path.name, hashlib.sha256(content).hexdigest(), len(content))


def write_text(path: Path, text: str) -> None:
    """UTF-8 with plain line ends on every operating system."""
    path.write_text(text, encoding="utf-8", newline="\n")


def _worst(differences: Sequence[Difference], output: str) -> float:
    return figure(max(each.error for each in differences if each.output == output))


def _texts_sha256(texts: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()

"""The finished bundle held to its goldens, variant by variant, before it appears."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

import sestina
from sestina._bundle.bundle import Bundle
from sestina._bundle.goldens import by_golden, compare, read_goldens
from sestina._bundle.manifest import GOLDEN_VECTORS, MANIFEST, Manifest
from sestina._bundle.result_goldens import read_result_goldens, result_distance
from sestina._loaders import load_any
from sestina_export._errors import ParityError
from sestina_export._produce import NOT_YET, write_text
from sestina_export._proof.parity import figure, open_graph, run_texts
from sestina_export._proof.quality import golden_tolerance
from sestina_export._proof.token_results import from_graph, token_outputs

__all__ = ["verified"]


def verified(manifest: Manifest, folder: Path) -> tuple[Manifest, sestina.Verification]:
    """Hold each variant to the goldens, write the final manifest, and load the bundle with the runtime.

    Variants for the CPU are loaded by the runtime too; the others run on the CPU as they were measured.

    Returns: the manifest with the goldens' figures, and how they came out for the preferred variant.

    Raises:
        ParityError: Naming the variant, the golden, the difference and the tolerance.
    """
    # Tolerances are for values up to 1; larger goldens may differ in proportion.
    scale = max(1.0, float(np.abs(np.load(folder / GOLDEN_VECTORS)).max(initial=0.0)))
    variants, verifications = [], []
    for variant in manifest.variants:
        parity = dict(variant.parity)
        for name in {"tolerance", "float16_tolerance"} & parity.keys():
            parity[name] *= scale
        alone = manifest._replace(variants=(variant._replace(parity=parity),))
        write_text(folder / MANIFEST, alone.to_json())
        verification = _verify(alone, folder)
        _refuse_failures(variant.entry.file, verification)
        parity["goldens"] = {"texts": len(verification.goldens), "worst": figure(verification.worst_error)}
        if variant.tolerance == NOT_YET:
            parity["tolerance"] = golden_tolerance(verification.worst_error)
        variants.append(variant._replace(parity=parity))
        verifications.append(replace(verification, tolerance=parity["tolerance"]))
    manifest = manifest._replace(variants=tuple(variants))
    write_text(folder / MANIFEST, manifest.to_json())
    if all(variant.target != "cpu" for variant in variants):
        Bundle(folder).check(None)
        return manifest, verifications[0]
    with load_any(folder, threads=1) as encoder:
        return manifest, encoder.verify()


def _verify(manifest: Manifest, folder: Path) -> sestina.Verification:
    """The goldens of a bundle with one variant."""
    (variant,) = manifest.variants
    if variant.target == "cpu":
        with load_any(folder, threads=1) as encoder:
            return encoder.verify()
    bundle = Bundle(folder)
    goldens = read_goldens(bundle)
    ids = [golden.tokens for golden in goldens]
    session = open_graph(bundle.graph(variant.entry.file))
    starts = [golden.start for golden in goldens]
    vectors = run_texts(session, ids, manifest.contract.dimensions, variant.buckets, starts)
    found = by_golden(goldens, vectors) if manifest.by_token else vectors
    results, errors = manifest.contract.results, list[float]()
    if results is not None:
        parts = from_graph(session, ids, token_outputs(results), variant.buckets)
        made = [dict(zip(parts, each, strict=True)) for each in zip(*parts.values(), strict=True)]
        wanted = read_result_goldens(bundle, results)
        errors = [result_distance(mine, theirs) for mine, theirs in zip(made, wanted, strict=True)]
    return compare(goldens, ids, found, variant.tolerance, errors)


def _refuse_failures(file: str, verification: sestina.Verification) -> None:
    for golden in verification.goldens:
        if not golden.passed:
            how = f"by {golden.error:.3g}; the tolerance is {verification.tolerance:.3g}"
            how = how if golden.ids_equal else "in its token ids"
            raise ParityError(f"{file}: golden {golden.name!r} differs from PyTorch {how}")

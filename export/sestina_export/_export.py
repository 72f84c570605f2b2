"""The main job: a PyTorch text encoder becomes one verified bundle."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer

import sestina
from sestina._manifest import (
    GOLDEN,
    GOLDEN_VECTORS,
    MANIFEST,
    TOKENIZER,
    FileEntry,
    Manifest,
    TextContract,
    Variant,
)
from sestina_export._card import bundle_licence, bundle_readme
from sestina_export._errors import ExportError, ParityError
from sestina_export._fingerprint import space_of
from sestina_export._goldens import write_goldens
from sestina_export._graph import OUTPUTS, build_graph, interface
from sestina_export._parity import Difference, as_parity, figure, measure_shapes
from sestina_export._source import Source, as_checkpoint, usable_target
from sestina_export._variants import VARIANTS, VariantSpec
from sestina_model._folders import folder_in_place
from sestina_model.checkpoint import Checkpoint
from sestina_model.config import HeadConfig
from sestina_model.sentence import SentenceEncoder

__all__ = ["ExportResult", "export"]

LICENCE, README = "LICENSE", "README.md"
_TOOLS = ("torch", "onnx", "onnxscript", "onnx-ir", "onnxruntime", "tokenizers", "numpy")


@dataclass(frozen=True, slots=True)
class ExportResult:
    """What an export made.

    Attributes:
        path: The bundle.
        manifest: Its manifest.
        verification: Its goldens, as the runtime found them when it loaded the finished bundle.
    """

    path: Path
    manifest: Manifest
    verification: sestina.Verification


def export(
    source: Source,
    out: str | os.PathLike[str],
    *,
    tokenizer: Tokenizer | None = None,
    head: HeadConfig | None = None,
    name: str | None = None,
    licence: str | None = None,
    overwrite: bool = False,
    progress: Callable[[str], None] | None = None,
) -> ExportResult:
    """Write a bundle, having proved it against PyTorch.

    The graphs are measured at shapes that were never traced, the finished bundle is loaded by the runtime
    and its goldens are verified; only then does it appear at `out`. Any failure leaves `out` as it was.
    The same source and tool versions give the same bytes.

    Args:
        source: A checkpoint folder (Hugging Face's, sentence-transformers' or our own), a `Checkpoint`, or
            a module together with its `tokenizer`.
        out: The bundle's directory, by convention NAME.sestina.
        tokenizer: With a module: its tokenizer.
        head: With a `TransformerEncoder`: its sentence head; by default the mean of all tokens, normalised,
            with the length limit of the encoder.
        name: The bundle's name; by default the source's.
        licence: SPDX identifier of the weights' licence; by default what the source states.
        overwrite: Whether a bundle that is already at `out` may be replaced.
        progress: Called with a line of text before each step.

    Raises:
        ExportError: Where `out` cannot be used, or the arguments do not fit.
        GraphError: Where a graph did not come out as its variant promises.
        ParityError: Where a graph does not agree with PyTorch.
        sestina_model.ModelError: Where the checkpoint cannot be read or is not supported.
    """
    target = usable_target(Path(out), overwrite)
    say = progress or (lambda _: None)
    say("reading the checkpoint")
    checkpoint = as_checkpoint(source, tokenizer, head, name, licence)
    model, provenance = checkpoint.model, _provenance(checkpoint)
    try:
        with folder_in_place(target) as folder, _one_thread():
            variants = [_write_variant(model, spec, provenance, folder, say) for spec in VARIANTS]
            say("making goldens with PyTorch")
            write_goldens(checkpoint, folder)
            _write_text(folder / TOKENIZER, checkpoint.tokenizer.to_str() + "\n")
            _write_text(folder / LICENCE, bundle_licence(checkpoint))
            _write_text(folder / README, bundle_readme(checkpoint))
            manifest = Manifest(
                name=checkpoint.name,
                encoder=model.encoder.config.to_dict(),
                contract=TextContract(
                    max_tokens=model.head.max_tokens,
                    pooling=model.head.pooling,
                    normalize=model.head.normalize,
                    dimensions=model.encoder.config.d_model,
                ),
                variants=tuple(variants),
                files=tuple(
                    _entry(folder / file) for file in (TOKENIZER, GOLDEN, GOLDEN_VECTORS, LICENCE, README)
                ),
                space=space_of(checkpoint),
                licence=checkpoint.licence,
                provenance=provenance,
            )
            say("verifying the bundle with the runtime")
            manifest, verification = _verified(manifest, folder)
    except OSError as error:
        raise ExportError(f"{target} cannot be written: {error.strerror or error}") from error
    return ExportResult(target, manifest, verification)


def _write_variant(
    model: SentenceEncoder,
    spec: VariantSpec,
    provenance: Mapping[str, str | None],
    folder: Path,
    say: Callable[[str], None],
) -> Variant:
    say(f"exporting {spec.file}")
    graph = build_graph(model, spec, provenance)
    content = graph.SerializeToString(deterministic=True)
    say(f"measuring {spec.file} against PyTorch")
    differences = measure_shapes(content, model, spec.tolerance, spec.file)
    (folder / spec.file).write_bytes(content)
    inputs, outputs = interface(graph)
    return Variant(
        entry=_entry(folder / spec.file),
        target=spec.target,
        precision=spec.precision,
        shapes=spec.shapes,
        inputs=inputs,
        outputs=outputs,
        parity={
            "reference": f"torch {torch.__version__}",
            "tolerance": spec.tolerance,
            "worst": {output: _worst(differences, output) for output in OUTPUTS},
            "shapes": as_parity(differences),
        },
    )


def _verified(manifest: Manifest, folder: Path) -> tuple[Manifest, sestina.Verification]:
    """Load the bundle with each variant in turn; hold the goldens; write the figures into the manifest.

    The golden tolerance is that of the variant for values up to 1 and grows with the goldens beyond.
    """
    scale = max(1.0, float(np.abs(np.load(folder / GOLDEN_VECTORS)).max()))
    variants = []
    for variant in manifest.variants:
        parity = {**variant.parity, "tolerance": variant.tolerance * scale}
        _write_text(
            folder / MANIFEST, replace(manifest, variants=(replace(variant, parity=parity),)).to_json()
        )
        with sestina.load(folder, threads=1) as encoder:
            verification = encoder.verify()
        for golden in verification.goldens:
            if not golden.passed:
                what = f"by {golden.error:.3g}; the tolerance is {verification.tolerance:.3g}"
                raise ParityError(
                    f"{variant.entry.file}: golden {golden.name!r} differs from PyTorch "
                    f"{what if golden.ids_equal else 'in its token ids'}"
                )
        parity["goldens"] = {"texts": len(verification.goldens), "worst": figure(verification.worst_error)}
        variants.append(replace(variant, parity=parity))
    manifest = replace(manifest, variants=tuple(variants))
    _write_text(folder / MANIFEST, manifest.to_json())
    with sestina.load(folder, threads=1) as encoder:
        return manifest, encoder.verify()


def _worst(differences: Sequence[Difference], output: str) -> float:
    return figure(max(each.error for each in differences if each.output == output))


def _entry(path: Path) -> FileEntry:
    content = path.read_bytes()
    return FileEntry(path.name, hashlib.sha256(content).hexdigest(), len(content))


def _provenance(checkpoint: Checkpoint) -> dict[str, str | None]:
    versions = {tool: metadata.version(tool) for tool in _TOOLS}
    return {"source_sha256": checkpoint.source_sha256, "sestina": sestina.__version__, **versions}


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")


@contextmanager
def _one_thread() -> Iterator[None]:
    """One torch thread: the same sums in the same order whatever the number of cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)

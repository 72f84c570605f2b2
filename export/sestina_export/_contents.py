"""What a bundle holds besides its graphs, and the manifest that lists all of it."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

import sestina
from sestina._bundle.late_interaction import LateInteraction
from sestina._bundle.manifest import (
    GOLDEN,
    GOLDEN_VECTORS,
    RESULTS,
    TOKENIZER,
    Manifest,
    TextContract,
    Variant,
)
from sestina._bundle.results import GOLDENS, Results, SparseResult, VectorsResult
from sestina_export._card import bundle_licence, bundle_readme
from sestina_export._produce import file_entry, operators_file, write_text
from sestina_model.checkpoint import Checkpoint
from sestina_model.sentence import SentenceEncoder

__all__ = ["TASKS", "provenance_of", "write_around"]

LICENCE, README = "LICENSE", "README.md"
TASKS = tuple(RESULTS)  # what bundles can be of
_TOOLS = ("torch", "onnx", "onnxscript", "onnx-ir", "onnxruntime", "tokenizers", "numpy")


def write_around(
    checkpoint: Checkpoint,
    space: str,
    variants: tuple[Variant, ...],
    provenance: Mapping[str, str | None],
    folder: Path,
) -> Manifest:
    """Everything of a bundle but its graphs and goldens, and the manifest that lists it all.

    Args:
        checkpoint: The source.
        space: Its fingerprint.
        variants: The graphs, written already.
        provenance: What made them, and of what.
        folder: Where they and the goldens are.
    """
    write_text(folder / TOKENIZER, checkpoint.tokenizer.to_str() + "\n")
    write_text(folder / LICENCE, bundle_licence(checkpoint))
    write_text(folder / README, bundle_readme(checkpoint))
    head = checkpoint.model.head
    late = head.late_interaction
    small = [variant.entry.file for variant in variants if variant.entry.file.endswith(".ort")]
    results = _results(checkpoint.model)
    further = () if results is None else tuple(GOLDENS[name] for name in results.names[1:])
    files = (TOKENIZER, GOLDEN, GOLDEN_VECTORS, *further, LICENCE, README, *map(operators_file, small))
    return Manifest(
        name=checkpoint.name,
        encoder=checkpoint.model.encoder.config.to_dict(),
        contract=TextContract(
            head.max_tokens,
            head.pooling,
            checkpoint.model.unit_length,
            checkpoint.dimensions,
            head.prompts,
            head.default_prompt,
            head.similarity,
            head.include_prompt,
            head.labels,
            head.activation,
            head.max_active,
            None if late is None else LateInteraction.from_dict(late.to_dict()),
            results,
        ),
        variants=variants,
        files=tuple(file_entry(folder / file) for file in files),
        space=space,
        licence=checkpoint.licence,
        provenance=provenance,
        task=head.task,
    )


def _results(model: SentenceEncoder) -> Results | None:
    """What its graphs give of tokens beside vectors, as a contract has it."""
    outputs = model.head.token_outputs
    if outputs is None:
        return None
    width = outputs.multi_vector
    return Results(
        SparseResult(model.encoder.config.vocab_size, outputs.skip) if outputs.sparse else None,
        None if width is None else VectorsResult(width, outputs.first),
    )


def provenance_of(checkpoint: Checkpoint) -> dict[str, str | None]:
    """The source's checksum, and the versions of what made the bundle."""
    versions = {tool: metadata.version(tool) for tool in _TOOLS}
    return {"source_sha256": checkpoint.source_sha256, "sestina": sestina.__version__, **versions}

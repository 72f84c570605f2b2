"""What a manifest says of further results of a bundle of embeddings, read as strictly as the rest of it."""

from __future__ import annotations

from typing import Any

from sestina._bundle.manifest import Manifest, TensorInfo
from sestina._bundle.results import GOLDENS, MULTI_VECTOR, SPARSE, Results, SparseResult, VectorsResult
from sestina._bundle.task_reader import Reader
from sestina._errors import BundleFormatError

_SIMILARITIES = ("maxsim", "meanmaxsim")


def with_results(reader: Reader, manifest: Manifest, contract: dict[str, Any]) -> Manifest:
    """The manifest with what its contract has of them.

    Raises:
        BundleFormatError: Where one is not known or not right, or a graph or the files lack what it needs.
    """
    given: dict[str, Any] = reader.member(contract, "results", dict)
    if not given or set(given) - {SPARSE, MULTI_VECTOR}:
        raise BundleFormatError(
            f"{reader.where}: results has {', '.join(map(repr, given)) or 'nothing':.120}; it must have "
            f"{SPARSE} or {MULTI_VECTOR}, or both"
        )
    sparse = vectors = None
    if SPARSE in given:
        item: dict[str, Any] = reader.member(given, SPARSE, dict)
        dimensions, skip = reader.count(item, "dimensions", 1), reader.member(item, "skip", list)
        known = manifest.encoder.get("vocab_size")
        if known is not None and dimensions != known:
            raise BundleFormatError(
                f"{reader.where}: {SPARSE} has {dimensions} dimensions; it must have as many as the "
                f"encoder's vocab_size, {known}"
            )
        ids = {each for each in skip if type(each) is int and 0 <= each < dimensions}
        if len(ids) != len(skip):
            raise BundleFormatError(
                f"{reader.where}: skip of {SPARSE} must be different ids below {dimensions}"
            )
        sparse = SparseResult(dimensions, tuple(skip))
    if MULTI_VECTOR in given:
        item = reader.member(given, MULTI_VECTOR, dict)
        vectors = VectorsResult(
            reader.count(item, "dimensions", 1),
            reader.count(item, "first", 0),
            reader.choice(item, "similarity", _SIMILARITIES),
        )
    results = Results(sparse, vectors)
    _check_files(reader, manifest, results)
    return manifest._replace(contract=manifest.contract._replace(results=results))


def _check_files(reader: Reader, manifest: Manifest, results: Results) -> None:
    listed = {entry.file for entry in manifest.files}
    for name in results.names:
        if name in GOLDENS and GOLDENS[name] not in listed:
            raise BundleFormatError(f"{reader.where}: {GOLDENS[name]} is not listed, and results has {name}")
    for variant in manifest.variants:
        for output, width in results.widths.items():
            if not any(each.name == output and _gives(each, width) for each in variant.outputs):
                raise BundleFormatError(
                    f"{reader.where}: {variant.entry.file} has no {output} in float32 of shape "
                    f"[batch, length, {width}], and results says that it has"
                )


def _gives(tensor: TensorInfo, width: int) -> bool:
    """Whether an output is float32 of (batch, length, width)."""
    first, last = tensor.shape[:-1], tensor.shape[-1:]
    return tensor.dtype == "float32" and [*map(type, first)] == [str, str] and last == (width,)

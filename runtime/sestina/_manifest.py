"""The manifest: what a bundle says of itself, as frozen data and as JSON.

This module is the one definition of `manifest.json`. The exporter writes with `Manifest.to_json`, the
runtime reads with `Manifest.from_json`. The README section "The bundle format" is its normative prose.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from sestina._errors import BundleFormatError

FORMAT = "sestina"
FORMAT_VERSION = 1
MANIFEST = "manifest.json"
TOKENIZER = "tokenizer.json"
GOLDEN = "golden.json"
GOLDEN_VECTORS = "golden.npy"

Pooling = Literal["mean", "cls", "max"]
Target = Literal[
    "cpu", "portable", "cuda", "coreml", "qnn", "openvino", "webgpu", "xnnpack", "mobile-cpu"
]  # fmt: skip
Precision = Literal["fp32", "fp16", "int8", "a16w8", "int4"]


@dataclass(frozen=True, slots=True)
class TextContract:
    """How a text becomes a vector: the part of the bundle that is neither weights nor tokenizer.

    Attributes:
        max_tokens: The length limit in tokens, special tokens included.
        pooling: How hidden states become one vector ("mean" and "max" over the text's tokens, "cls").
        normalize: Whether vectors have L2 norm 1.
        dimensions: d, the width of a vector.
    """

    max_tokens: int
    pooling: Pooling
    normalize: bool
    dimensions: int


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One file of the bundle: its name, SHA-256 in lower-case hex, and size in bytes."""

    file: str
    sha256: str
    bytes: int


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """One graph input or output. `shape` holds a number for a fixed axis and a name for a dynamic one."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]


@dataclass(frozen=True, slots=True)
class Variant:
    """One graph file: a precision for a target.

    Attributes:
        entry: The file, its checksum and its size.
        target: What it was made for.
        precision: The arithmetic of its matrix products.
        shapes: "dynamic": any batch of texts of one length, no mask. "static": padded to one of `buckets`,
            with a mask; a session fixes the axes "batch" and "length" when it opens.
        inputs: The graph's inputs, in order.
        outputs: The graph's outputs, in order.
        parity: Agreement with PyTorch as measured at export; see the README for its members.
        buckets: Of a static variant: the lengths in tokens to pad to, ascending; the last holds any text.
    """

    entry: FileEntry
    target: Target
    precision: Precision
    shapes: Literal["dynamic", "static"]
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    parity: Mapping[str, Any]
    buckets: tuple[int, ...] = ()

    @property
    def tolerance(self) -> float:
        """The largest absolute difference from a golden vector that still counts as agreement."""
        return float(self.parity["tolerance"])


@dataclass(frozen=True, slots=True)
class Manifest:
    """The whole manifest. See the README section "The bundle format"."""

    name: str
    encoder: Mapping[str, Any]
    contract: TextContract
    variants: tuple[Variant, ...]
    files: tuple[FileEntry, ...]
    space: str
    licence: str | None
    provenance: Mapping[str, Any]

    @property
    def all_files(self) -> tuple[FileEntry, ...]:
        """Every file of the bundle but the manifest itself."""
        return (*self.files, *(variant.entry for variant in self.variants))

    def to_json(self) -> str:
        """Canonical text: two-space indent, declaration order, one trailing newline."""
        values = [dataclasses.asdict(variant) for variant in self.variants]
        variants = [{**each.pop("entry"), **each} for each in values]
        for each in variants:
            if not each["buckets"]:
                del each["buckets"]
        document = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "name": self.name,
            "space": self.space,
            "licence": self.licence,
            "contract": dataclasses.asdict(self.contract),
            "encoder": dict(self.encoder),
            "variants": variants,
            "files": [dataclasses.asdict(entry) for entry in self.files],
            "provenance": dict(self.provenance),
        }
        return json.dumps(document, indent=2, ensure_ascii=True, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str, where: str) -> Manifest:
        """Read a manifest strictly. `where` names it in errors.

        Raises:
            BundleFormatError: Where the text is not a manifest that this version reads.
            BundleIntegrityError: Where it names a file outside the bundle.
        """
        try:
            document = json.loads(text, parse_constant=_refuse)
        except (ValueError, RecursionError) as error:
            raise BundleFormatError(f"{where} is not valid JSON ({error}): export the bundle again") from None
        if not isinstance(document, dict) or document.get("format") != FORMAT:
            raise BundleFormatError(f"{where} is not the manifest of a Sestina bundle")
        version = document.get("format_version")
        if not isinstance(version, int) or isinstance(version, bool) or version < 1:
            raise BundleFormatError(f"{where} has format version {version!r}; it must be a whole number")
        if version > FORMAT_VERSION:
            raise BundleFormatError(
                f"{where} has format version {version}; this version of sestina reads up to "
                f"{FORMAT_VERSION}: upgrade with pip install --upgrade sestina"
            )
        from sestina._manifest_reader import Reader

        return Reader(where).manifest(document)


def _refuse(constant: str) -> None:
    raise ValueError(f"JSON has no number {constant}")

"""The manifest: what a bundle says of itself, as frozen data and as JSON.

This module is the one definition of `manifest.json`. The exporter writes with `Manifest.to_json`, the
runtime reads with `Manifest.from_json`. The README section "The bundle format" is its normative prose.
"""

from __future__ import annotations

import dataclasses
import json
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from sestina._errors import BundleFormatError, BundleIntegrityError

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

# A file of a bundle is named by one plain path component: nothing can point outside the bundle, on any
# operating system.
_FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_VECTORS = "sentence_embedding"
_MOST, _MOST_BYTES = (1 << 31) - 1, (1 << 63) - 1  # what is counted fits the integers of every platform


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
        return _Reader(where).manifest(document)


def _refuse(constant: str) -> None:
    raise ValueError(f"JSON has no number {constant}")


class _Reader:
    """Typed access to the JSON document, with errors that name the manifest and the member."""

    def __init__(self, where: str) -> None:
        self.where = where

    def member(self, document: object, name: str, kind: type | tuple[type, ...]) -> Any:
        value = document.get(name) if isinstance(document, dict) else None
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise BundleFormatError(f"{self.where}: member {name!r} is missing or of the wrong type")
        return value

    def choice(self, document: object, name: str, allowed: tuple[str, ...]) -> Any:
        value = self.member(document, name, str)
        if value not in allowed:
            raise BundleFormatError(
                f"{self.where}: {name} is {value!r}; this version knows {', '.join(allowed)}"
            )
        return value

    def count(self, document: object, name: str, least: int, most: int = _MOST) -> int:
        value: int = self.member(document, name, int)
        if not least <= value <= most:
            bound = f"least {least}" if value < least else f"most {most}"
            raise BundleFormatError(f"{self.where}: {name} is {value}; it must be at {bound}")
        return value

    def manifest(self, document: dict[str, Any]) -> Manifest:
        contract = self.member(document, "contract", dict)
        encoder = self.member(document, "encoder", dict)
        *_, positions = [self.count(encoder, name, 1) for name in ("d_model", "d_ff", "max_positions")]
        variants = tuple(self.variant(item) for item in self.member(document, "variants", list))
        if not variants:
            raise BundleFormatError(f"{self.where}: the bundle has no variants")
        licence = document.get("licence")
        manifest = Manifest(
            name=self.member(document, "name", str),
            encoder=encoder,
            contract=TextContract(
                max_tokens=self.count(contract, "max_tokens", 1),
                pooling=self.choice(contract, "pooling", get_args(Pooling)),
                normalize=self.member(contract, "normalize", bool),
                dimensions=self.count(contract, "dimensions", 1),
            ),
            variants=variants,
            files=tuple(self.entry(item) for item in self.member(document, "files", list)),
            space=self.member(document, "space", str),
            licence=licence if isinstance(licence, str) else None,
            provenance=self.member(document, "provenance", dict),
        )
        width = manifest.contract.dimensions
        if manifest.contract.max_tokens > positions:
            raise BundleFormatError(f"{self.where}: max_tokens is above the encoder's {positions} positions")
        for variant in variants:
            if variant.buckets and not manifest.contract.max_tokens <= variant.buckets[-1] <= positions:
                raise BundleFormatError(
                    f"{self.where}: the longest bucket of {variant.entry.file} is {variant.buckets[-1]}; it must "
                    f"be from max_tokens to the encoder's {positions} positions"
                )
        for file, outputs in ((variant.entry.file, variant.outputs) for variant in variants):
            if [tensor.shape[-1:] for tensor in outputs if tensor.name == _VECTORS] != [(width,)]:
                raise BundleFormatError(f"{self.where}: {file} has no {_VECTORS} of {width} dimensions")
        names = [entry.file for entry in manifest.all_files]
        for required in (TOKENIZER, GOLDEN, GOLDEN_VECTORS):
            if required not in names:
                raise BundleFormatError(f"{self.where}: {required} is not listed")
        if len(set(names)) != len(names):
            raise BundleFormatError(f"{self.where}: a file is listed twice")
        return manifest

    def entry(self, item: object) -> FileEntry:
        file: str = self.member(item, "file", str)
        if not _FILE_NAME.fullmatch(file):
            raise BundleIntegrityError(
                f"{self.where} names the file {file!r}; a bundle holds only files directly inside it"
            )
        sha256: str = self.member(item, "sha256", str)
        if not _SHA256.fullmatch(sha256):
            raise BundleFormatError(f"{self.where}: the sha256 of {file} is not 64 lower-case hex digits")
        return FileEntry(file, sha256, self.count(item, "bytes", 0, _MOST_BYTES))

    def variant(self, item: object) -> Variant:
        parity = self.member(item, "parity", dict)
        if not 0 < self.member(parity, "tolerance", (int, float)) <= sys.float_info.max:
            raise BundleFormatError(f"{self.where}: tolerance must be a finite number above 0")
        shapes = self.choice(item, "shapes", ("dynamic", "static"))
        return Variant(
            entry=self.entry(item),
            target=self.choice(item, "target", get_args(Target)),
            precision=self.choice(item, "precision", get_args(Precision)),
            shapes=shapes,
            inputs=tuple(self.tensor(value) for value in self.member(item, "inputs", list)),
            outputs=tuple(self.tensor(value) for value in self.member(item, "outputs", list)),
            parity=parity,
            buckets=self.buckets(item) if shapes == "static" else (),
        )

    def buckets(self, item: object) -> tuple[int, ...]:
        lengths: list[Any] = self.member(item, "buckets", list)
        whole = all(type(length) is int and 0 < length <= _MOST for length in lengths)
        if not lengths or not whole or sorted(set(lengths)) != lengths:
            raise BundleFormatError(f"{self.where}: buckets is {lengths!r}; it must be ascending lengths")
        return tuple(lengths)

    def tensor(self, item: object) -> TensorInfo:
        shape: list[Any] = self.member(item, "shape", list)
        if not all(type(axis) is str or (type(axis) is int and 0 < axis <= _MOST) for axis in shape):
            raise BundleFormatError(f"{self.where}: the shape {shape!r} is not of numbers and names")
        return TensorInfo(self.member(item, "name", str), self.member(item, "dtype", str), tuple(shape))

"""Reading a manifest strictly: every member is of its type and in its range, or the error names it."""

from __future__ import annotations

import re
import sys
from typing import Any, get_args

from sestina._errors import BundleFormatError, BundleIntegrityError
from sestina._manifest import (
    GOLDEN,
    GOLDEN_VECTORS,
    TOKENIZER,
    FileEntry,
    Manifest,
    Pooling,
    Precision,
    Target,
    TensorInfo,
    TextContract,
    Variant,
)

# A file of a bundle is named by one plain path component: nothing can point outside the bundle, on any
# operating system.
_FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_VECTORS = "sentence_embedding"
_MOST, _MOST_BYTES = (1 << 31) - 1, (1 << 63) - 1  # what is counted fits the integers of every platform


class Reader:
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
                    f"{self.where}: the longest bucket of {variant.entry.file} is {variant.buckets[-1]}; it "
                    f"must be from max_tokens to the encoder's {positions} positions"
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

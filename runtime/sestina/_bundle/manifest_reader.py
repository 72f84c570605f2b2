"""The manifest as it is read: every member right in type and bounds, or one line that says which is not."""

from __future__ import annotations

import json
import re
import sys
from types import MappingProxyType
from typing import Any, get_args

from sestina._bundle.manifest import (
    FILE_NAME,
    FIRST_POOLINGS,
    FORMAT,
    FORMAT_VERSION,
    GOLDEN,
    GOLDEN_VECTORS,
    NO_FILE,
    POOLINGS,
    TOKENIZER,
    FileEntry,
    Manifest,
    Precision,
    Similarity,
    Target,
    TensorInfo,
    TextContract,
    Variant,
)
from sestina._bundle.unicode import is_unicode
from sestina._errors import BundleFormatError, BundleIntegrityError
from sestina._handlers import let_through
from sestina._process.native import opening

_SHA256 = re.compile(r"[0-9a-f]{64}")
_STATES, _START = "last_hidden_state", "pooled_from"
_MOST, _MOST_BYTES = (1 << 31) - 1, (1 << 63) - 1  # what is counted fits the integers of every platform
_MOST_BUCKETS, _MOST_MODES = 64, 16


def read(text: str, where: str) -> Manifest:
    """Read a manifest strictly. `where` names it in errors.

    Raises:
        BundleFormatError: Where the text is not a manifest that this version reads.
        BundleIntegrityError: Where it names a file outside the bundle.
    """
    try:
        document = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        let_through(error)
        raise BundleFormatError(f"{where} is not valid JSON ({error}): export the bundle again") from None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise BundleFormatError(f"{where} is not the manifest of a Sestina bundle")
    version = document.get("format_version")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise BundleFormatError(f"{where} has format version {version!r:.40}; it must be a whole number")
    if version > FORMAT_VERSION:
        raise BundleFormatError(
            f"{where} has format version {version!s:.40}; this version of sestina reads up to "
            f"{FORMAT_VERSION}: upgrade with pip install --upgrade sestina"
        )
    return Reader(where, version).manifest(document)


def _refuse(constant: str) -> None:
    raise ValueError(f"JSON has no number {constant}")


class Reader:
    """Typed access to the JSON document, with errors that name the manifest and the member."""

    def __init__(self, where: str, version: int) -> None:
        self.where, self.version = where, version

    def member(self, document: object, name: str, kind: type | tuple[type, ...]) -> Any:
        value = document.get(name) if isinstance(document, dict) else None
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise BundleFormatError(f"{self.where}: member {name!r} is missing or of the wrong type")
        return value

    def choice(self, document: object, name: str, allowed: tuple[str, ...]) -> Any:
        value = self.member(document, name, str)
        if value not in allowed:
            raise BundleFormatError(
                f"{self.where}: {name} is {value!r:.60}; this version knows {', '.join(allowed)}"
            )
        return value

    def count(self, document: object, name: str, least: int, most: int = _MOST) -> int:
        value: int = self.member(document, name, int)
        if not least <= value <= most:
            bound = f"least {least}" if value < least else f"most {most}"
            raise BundleFormatError(f"{self.where}: {name} is {value!s:.40}; it must be at {bound}")
        return value

    def manifest(self, document: dict[str, Any]) -> Manifest:
        contract = self.member(document, "contract", dict)
        encoder = self.member(document, "encoder", dict)
        d_model, _, positions = [
            self.count(encoder, name, 1) for name in ("d_model", "d_ff", "max_positions")
        ]
        variants = tuple(self.variant(item) for item in self.member(document, "variants", list))
        if not variants:
            raise BundleFormatError(f"{self.where}: the bundle has no variants")
        manifest = Manifest(
            name=self.member(document, "name", str),
            encoder=encoder,
            contract=self.contract(contract),
            variants=variants,
            files=tuple(self.entry(item) for item in self.member(document, "files", list)),
            space=self.member(document, "space", str),
            licence=self.member(document, "licence", (str, type(None))),
            provenance=self.member(document, "provenance", dict),
        )
        if self.version > 1 and document.get("task", "embedding") != "embedding":
            with opening:
                from sestina._bundle.task_reader import with_task  # only here: not every start needs it

            manifest = with_task(self, manifest, document)
        elif self.version > 1 and contract.get("results") is not None:
            with opening:
                from sestina._bundle.results_reader import with_results  # the same

            manifest = with_results(self, manifest, contract)
        if manifest.contract.max_tokens > positions:
            raise BundleFormatError(f"{self.where}: max_tokens is above the encoder's {positions} positions")
        for name, width in ((manifest.result, manifest.contract.dimensions), (_STATES, d_model)):
            for variant in variants:
                found = [tensor.shape[-1:] for tensor in variant.outputs if tensor.name == name]
                if found != [(width,)] and (found or name == manifest.result):
                    raise BundleFormatError(
                        f"{self.where}: {variant.entry.file} has no {name} of {width} dimensions"
                    )
        for variant in variants:
            if manifest.contract.include_prompt == any(each.name == _START for each in variant.inputs):
                which = "takes" if manifest.contract.include_prompt else "does not take"
                raise BundleFormatError(
                    f"{self.where}: {variant.entry.file} {which} {_START}, and include_prompt is "
                    f"{str(manifest.contract.include_prompt).lower()}"
                )
            last = variant.buckets[-1:]
            if last and not manifest.contract.max_tokens <= last[0] <= positions:
                raise BundleFormatError(
                    f"{self.where}: the longest bucket of {variant.entry.file} is {last[0]}; it must be from "
                    f"max_tokens to the encoder's {positions} positions"
                )
        names = [entry.file for entry in manifest.all_files]
        for required in (TOKENIZER, GOLDEN, GOLDEN_VECTORS):
            if required not in names:
                raise BundleFormatError(f"{self.where}: {required} is not listed")
        if len({name.lower() for name in names}) != len(names):  # one file on Windows and macOS
            raise BundleFormatError(f"{self.where}: a file is listed twice")
        return manifest

    def contract(self, item: dict[str, Any]) -> TextContract:
        first = TextContract(
            max_tokens=self.count(item, "max_tokens", 1),
            pooling=self.pooling(item),
            normalize=self.member(item, "normalize", bool),
            dimensions=self.count(item, "dimensions", 1),
        )
        if self.version == 1:  # has none of the rest, and ignores what it does not know
            return first
        prompts: dict[str, Any] = self.member(item, "prompts", dict) if "prompts" in item else {}
        if not all(isinstance(text, str) for text in prompts.values()) or not is_unicode(prompts):
            raise BundleFormatError(f"{self.where}: prompts must map names to texts, in valid Unicode")
        default: str | None = item.get("default_prompt")
        if default is not None and (not isinstance(default, str) or default not in prompts):
            raise BundleFormatError(
                f"{self.where}: default_prompt is {default!r:.60}; it must be the name of a prompt, or null"
            )
        return first._replace(
            prompts=MappingProxyType(prompts),
            default_prompt=default,
            similarity=self.choice({"similarity": "cosine", **item}, "similarity", get_args(Similarity)),
            include_prompt=self.member({"include_prompt": True, **item}, "include_prompt", bool),
        )

    def pooling(self, item: dict[str, Any]) -> str:
        if self.version == 1:
            return str(self.choice(item, "pooling", FIRST_POOLINGS))
        pooling: str = self.member(item, "pooling", str)
        modes = pooling.split("+")
        if len(modes) > _MOST_MODES or not set(modes) <= set(POOLINGS):
            raise BundleFormatError(
                f"{self.where}: pooling is {pooling!r:.60}; this version knows {', '.join(POOLINGS)}, and "
                f"up to {_MOST_MODES} joined by +"
            )
        return pooling

    def entry(self, item: object) -> FileEntry:
        file: str = self.member(item, "file", str)
        if not FILE_NAME.fullmatch(file):
            raise BundleIntegrityError(
                f"{self.where} names the file {file!r:.120}; a bundle holds only files directly inside it"
            )
        if NO_FILE.fullmatch(file):
            raise BundleFormatError(f"{self.where} names the file {file!r}, no file on Windows: rename it")
        sha256: str = self.member(item, "sha256", str)
        if not _SHA256.fullmatch(sha256):
            raise BundleFormatError(f"{self.where}: the sha256 of {file} is not 64 lower-case hex digits")
        return FileEntry(file, sha256, self.count(item, "bytes", 0, _MOST_BYTES))

    def variant(self, item: object) -> Variant:
        parity = self.member(item, "parity", dict)
        for name in ("tolerance", *({"float16_tolerance"} & parity.keys())):
            if not 0 < self.member(parity, name, (int, float)) <= sys.float_info.max:
                raise BundleFormatError(f"{self.where}: {name} must be a finite number above 0")
        return Variant(
            entry=self.entry(item),
            target=self.choice(item, "target", get_args(Target)),
            precision=self.choice(item, "precision", get_args(Precision)),
            shapes=self.choice(item, "shapes", ("dynamic", "static")),
            inputs=tuple(self.tensor(value) for value in self.member(item, "inputs", list)),
            outputs=tuple(self.tensor(value) for value in self.member(item, "outputs", list)),
            parity=parity,
            buckets=self.buckets(item),
            weights=self.weights(item),
        )

    def weights(self, item: Any) -> tuple[FileEntry, ...]:
        """Version 1 has none: a member of that name means nothing there."""
        if self.version < 2 or "weights" not in item:
            return ()
        entries = tuple(self.entry(each) for each in self.member(item, "weights", list))
        if not entries:
            raise BundleFormatError(f"{self.where}: weights is empty; it must list a file, or be left out")
        return entries

    def buckets(self, item: object) -> tuple[int, ...]:
        if self.member(item, "shapes", str) == "dynamic":
            return ()
        lengths: list[Any] = self.member(item, "buckets", list)
        whole = all(type(length) is int and 0 < length <= _MOST for length in lengths)
        if not whole or not 0 < len(lengths) <= _MOST_BUCKETS or lengths != sorted(set(lengths)):
            raise BundleFormatError(
                f"{self.where}: buckets must be 1 to {_MOST_BUCKETS} whole numbers above 0, ascending"
            )
        return tuple(lengths)

    def tensor(self, item: object) -> TensorInfo:
        shape: list[Any] = self.member(item, "shape", list)
        if not all(type(axis) is str or (type(axis) is int and 0 < axis <= _MOST) for axis in shape):
            raise BundleFormatError(f"{self.where}: the shape {shape!r:.80} is not of numbers and names")
        return TensorInfo(self.member(item, "name", str), self.member(item, "dtype", str), tuple(shape))

"""The manifest: what a bundle says of itself, as frozen data and as JSON.

This module is the one definition of `manifest.json`. The exporter writes with `Manifest.to_json`, the
runtime reads with `manifest_reader.read`. docs/format.md is its normative prose, manifest.schema.json the
same by machine. Named tuples: dataclasses take eight times as long to be made, and these are at every start.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    from sestina._bundle.late_interaction import LateInteraction
    from sestina._bundle.results import Results

FORMAT = "sestina"
FORMAT_VERSION = 2  # the newest; a bundle states the oldest that a reader of it must know
MANIFEST = "manifest.json"
TOKENIZER = "tokenizer.json"
GOLDEN = "golden.json"
GOLDEN_VECTORS = "golden.npy"

FIRST_POOLINGS = ("mean", "cls", "max")  # what version 1 has
POOLINGS = (*FIRST_POOLINGS, "mean_sqrt_len_tokens", "weightedmean", "lasttoken")
Pooling = str  # one of `POOLINGS`, or several joined by "+"
Similarity = Literal["cosine", "dot", "euclidean", "manhattan"]
Target = Literal["cpu", "cuda", "coreml", "qnn", "openvino", "webgpu", "xnnpack", "mobile-cpu", "portable"]
Precision = Literal["fp32", "fp16", "int8", "a16w8", "int4"]
Task = Literal["embedding", "rerank", "classify", "tag", "sparse", "multi-vector"]
Activation = Literal["identity", "sigmoid", "softmax", "tanh"]

# What a bundle of each task is asked for: the output of its graphs that is the result.
RESULTS: Mapping[str, str] = MappingProxyType(
    {
        "embedding": "sentence_embedding",
        "rerank": "logits",
        "classify": "logits",
        "tag": "token_logits",
        "sparse": "sparse_embedding",
        "multi-vector": "token_embeddings",
    }
)
LABELLED = ("rerank", "classify", "tag")  # tasks whose result has a label for each of its numbers

# A file of a bundle is named by one plain path component: nothing can point outside the bundle, on any
# operating system. Windows drops a dot at the end, and has devices by these names in every directory.
FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}")
NO_FILE = re.compile(r"(?:con|prn|aux|nul|(?:com|lpt)[0-9])(?:\..*)?|.*\.", re.IGNORECASE)


class TextContract(NamedTuple):
    """How a text becomes a vector: the part of the bundle that is neither weights nor tokenizer.

    Attributes:
        max_tokens: The length limit in tokens, special tokens included.
        pooling: How hidden states are pooled, before what else the graph may do.
        normalize: Whether vectors have L2 norm 1.
        dimensions: d, the width of a vector.
        prompts: By name, what is put before a text.
        default_prompt: The name of the one that is put before a text where none is asked for; or None.
        similarity: How vectors are compared.
        include_prompt: Whether a prompt's tokens are pooled too. Otherwise graphs take `pooled_from`.
        labels: Of `LABELLED` tasks, what each number of the result stands for.
        activation: What a reader makes of logits.
        max_active: Of sparse: how many weights of a text a reader keeps, the largest; None: all.
        late_interaction: Of multi-vector: how queries and documents are read and compared.
        results: Of embedding: what graphs give of each token besides; None: nothing.
    """

    max_tokens: int
    pooling: Pooling
    normalize: bool
    dimensions: int
    prompts: Mapping[str, str] = MappingProxyType({})
    default_prompt: str | None = None
    similarity: Similarity = "cosine"
    include_prompt: bool = True
    labels: tuple[str, ...] = ()
    activation: Activation = "identity"
    max_active: int | None = None
    late_interaction: LateInteraction | None = None
    results: Results | None = None

    @property
    def version(self) -> int:
        """Of the format that has all of it."""
        return 1 if self[4:] == _FIRST and self.pooling in FIRST_POOLINGS else 2

    def to_dict(self) -> dict[str, Any]:
        """As the manifest has it."""
        late = self.late_interaction
        values = {**self._asdict(), "prompts": dict(self.prompts), "labels": list(self.labels)}
        values["late_interaction"] = None if late is None else late.to_dict()
        values["results"] = None if self.results is None else self.results.to_dict()
        own = (
            *(("labels", "activation") if self.labels else ()),
            *(("max_active",) if self.max_active else ()),
            *(("late_interaction",) if late else ()),
            *(("results",) if self.results else ()),
        )
        return {name: values[name] for name in (*self._fields[: 4 if self.version == 1 else 8], *own)}


_FIRST = tuple(TextContract._field_defaults.values())  # of what version 1 does not have


class FileEntry(NamedTuple):
    """One file of the bundle: its name, SHA-256 in lower-case hex, and size in bytes."""

    file: str
    sha256: str
    bytes: int


class TensorInfo(NamedTuple):
    """One graph input or output. `shape` holds a number for a fixed axis and a name for a dynamic one."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]


class Variant(NamedTuple):
    """One graph file: a precision for a target.

    Attributes:
        entry: The file, its checksum and its size.
        target: What it was made for.
        precision: The arithmetic of its matrix products.
        shapes: "dynamic": any batch of texts of one length. "static": a batch and a length that are fixed
            when a session is opened, with a mask for what is padding.
        inputs: The graph's inputs, in order.
        outputs: The graph's outputs, in order.
        parity: Agreement with PyTorch as measured at export; see docs/format.md for its members.
        buckets: The lengths that a static graph is run at, ascending, the last at least the contract's
            limit; empty for a dynamic one.
        weights: Files of their own that have values of the graph's initializers; mostly there are none.
    """

    entry: FileEntry
    target: Target
    precision: Precision
    shapes: Literal["dynamic", "static"]
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    parity: Mapping[str, Any]
    buckets: tuple[int, ...] = ()
    weights: tuple[FileEntry, ...] = ()

    @property
    def all_files(self) -> tuple[FileEntry, ...]:
        """The graph's file, and those of its weights."""
        return (self.entry, *self.weights)

    @property
    def bytes(self) -> int:
        """The size of these together."""
        return sum(entry.bytes for entry in self.all_files)

    @property
    def tolerance(self) -> float:
        """The largest absolute difference from a golden vector that still counts as agreement."""
        return float(self.parity["tolerance"])

    @property
    def float16_tolerance(self) -> float:
        """The same where a provider computes this graph in half precision, whatever the graph says."""
        return float(self.parity.get("float16_tolerance", self.tolerance))

    def to_dict(self) -> dict[str, Any]:
        """As the manifest has it."""
        values = self._asdict()
        for tensors in ("inputs", "outputs"):
            values[tensors] = [tensor._asdict() for tensor in values[tensors]]
        if not self.buckets:
            del values["buckets"]
        values["weights"] = [entry._asdict() for entry in self.weights]
        if not self.weights:
            del values["weights"]
        return {**values.pop("entry")._asdict(), **values}


class Manifest(NamedTuple):
    """The whole manifest. See docs/format.md."""

    name: str
    encoder: Mapping[str, Any]
    contract: TextContract
    variants: tuple[Variant, ...]
    files: tuple[FileEntry, ...]
    space: str
    licence: str | None
    provenance: Mapping[str, Any]
    task: Task = "embedding"

    @property
    def result(self) -> str:
        """The output of its graphs that the task asks for."""
        return RESULTS[self.task]

    @property
    def tasks(self) -> tuple[str, ...]:
        """What it can be loaded for."""
        return (self.task, *(() if self.contract.results is None else self.contract.results.names[1:]))

    @property
    def by_token(self) -> bool:
        """Whether each token of a text has a result of its own."""
        return self.task in ("tag", "multi-vector")

    @property
    def token_types(self) -> bool:
        """Whether its graphs are told of each token which text of a pair it is of."""
        return self.task == "rerank" and self.encoder.get("n_token_types") is not None

    @property
    def all_files(self) -> tuple[FileEntry, ...]:
        """Every file of the bundle but the manifest itself."""
        return (*self.files, *(entry for variant in self.variants for entry in variant.all_files))

    @property
    def version(self) -> int:
        """The lowest version of the format that has all of it: what a reader must know."""
        more = self.task != "embedding" or any(variant.weights for variant in self.variants)
        return 2 if more else self.contract.version

    def to_json(self) -> str:
        """Canonical text: two-space indent, declaration order, one trailing newline."""
        variants = [variant.to_dict() for variant in self.variants]
        document = {
            "format": FORMAT,
            "format_version": self.version,
            "name": self.name,
            "space": self.space,
            **({} if self.task == "embedding" else {"task": self.task}),
            "licence": self.licence,
            "contract": self.contract.to_dict(),
            "encoder": dict(self.encoder),
            "variants": variants,
            "files": [entry._asdict() for entry in self.files],
            "provenance": dict(self.provenance),
        }
        return json.dumps(document, indent=2, ensure_ascii=True, allow_nan=False) + "\n"

"""What takes part: a peer in one precision and one configuration, behind one small protocol."""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, Protocol

if TYPE_CHECKING:  # a worker that measures its own start imports nothing before the clock runs
    import numpy as np
    import numpy.typing as npt

    Vectors = npt.NDArray[np.float32]

Configuration = Literal["best", "default"]
Purpose = Literal["latency", "throughput"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of the results.

    Attributes:
        peer: Its name in `PEERS`.
        precision: "fp32", "int8" and so on; "auto" where the peer decides by the processor.
        configuration: "best": as its documentation advises. "default": as it comes. Threads are the same.
        threads: Where they are other than those of the run; None: the run's.
    """

    peer: str
    precision: str
    configuration: Configuration = "best"
    threads: int | None = None

    @property
    def name(self) -> str:
        """For people, and unique in a run."""
        default = " (default)" if self.configuration == "default" else ""
        threads = f" (threads: {self.threads})" if self.threads is not None else ""
        return f"{self.peer} {self.precision}{default}{threads}"


@dataclass(frozen=True, slots=True)
class Setting:
    """What a contender is given, the same for all but for its own entry.

    Attributes:
        entry: The precision and configuration to run.
        purpose: What the configuration is to be best for: one text at a time, or a corpus.
        bundle: The bundle's directory.
        source: The folder of the checkpoint that the bundle was made from.
        folder: Where `prepare` put files.
        threads: Threads that compute.
        max_tokens, pooling, normalize, dimensions: The text contract.
        provider: Of those `ON_DEVICE`: where they compute.
    """

    entry: Entry
    purpose: Purpose
    bundle: str
    source: str | None
    folder: str | None
    threads: int
    max_tokens: int
    pooling: str
    normalize: bool
    dimensions: int
    provider: str = "cpu"


class Contender(Protocol):
    """One text encoder as its users run it.

    Attributes:
        entries: The precisions and configurations that it is run in.
        modules: What is imported before it can load; all of them must be installed.
        prepares: Whether `prepare` makes files.
        processes: How many processes compute.
        description: The configuration in words, and where its documentation advises it. Read after `load`.
    """

    entries: ClassVar[tuple[tuple[str, Configuration], ...]]
    modules: ClassVar[tuple[str, ...]]
    prepares: ClassVar[bool]
    processes: int

    def __init__(self, setting: Setting) -> None: ...

    @property
    def description(self) -> str: ...

    def prepare(self) -> None:
        """Make from the checkpoint what this contender reads. Runs once, in a process of its own."""

    def load(self) -> None:
        """Make ready to encode."""

    def encode(self, texts: list[str]) -> Vectors:
        """(n, d) float32, in input order."""


# In the order of tables. The first is what all others are compared with.
PEERS: dict[str, tuple[str, str]] = {
    "sestina": ("sestina._bench.sestina", "Sestina"),
    "sestina-default": ("sestina._bench.sestina", "SestinaDefault"),
    "torch": ("sestina._bench.torch", "Torch"),
    "sentence-transformers": ("sestina._bench.sentence_transformers", "SentenceTransformers"),
    "sentence-transformers-onnx": (
        "sestina._bench.sentence_transformers_onnx",
        "SentenceTransformersOnnx",
    ),
    "fastembed": ("sestina._bench.fastembed", "FastEmbed"),
    "ctranslate2": ("sestina._bench.ctranslate2", "CTranslate2"),
    "openvino": ("sestina._bench.openvino", "OpenVino"),
    "onnxruntime-plain": ("sestina._bench.onnxruntime_plain", "OnnxRuntimePlain"),
}
# Who takes part where one provider is measured, ours first.
ON_DEVICE: dict[str, tuple[str, str]] = {
    "sestina-on": ("sestina._bench.on_device", "SestinaOn"),
    "torch-on": ("sestina._bench.on_device", "TorchOn"),
    "torch-compiled": ("sestina._bench.on_device", "TorchCompiled"),
}
OURS, DEFAULT, REFERENCE = "sestina", "sestina-default", "torch"


def contender_class(peer: str) -> type[Contender]:
    """The class of a peer; importing it imports nothing of the peer itself."""
    module, name = (PEERS | ON_DEVICE)[peer]
    kind: type[Contender] = getattr(importlib.import_module(module), name)
    return kind


def missing(peer: str) -> str | None:
    """The first module that a peer needs and that is not installed."""
    for module in contender_class(peer).modules:
        if importlib.util.find_spec(module.partition(".")[0]) is None:
            return module
    return None

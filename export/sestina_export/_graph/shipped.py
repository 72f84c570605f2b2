"""A graph as it ships, opened as the runtime opens it: with views of the weights in their mapped file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sestina._bundle.files import open_plain
from sestina._bundle.graph import Graph
from sestina._bundle.protobuf import Buffer
from sestina._onnxruntime import onnxruntime, session_options

__all__ = ["Shipped"]


@dataclass(frozen=True, slots=True)
class Shipped:
    """A graph that was written.

    Attributes:
        graph: It, held open.
        static: Whether it has static shapes: optimizers may then rewrite its weights.
    """

    graph: Graph
    static: bool

    @classmethod
    def of(cls, path: Path, weights: Path | None, *, static: bool) -> Shipped:
        """Of its file, and that of its weights where they have one."""
        beside = {} if weights is None else {weights.name: _mapped(weights)}
        return cls(Graph(_mapped(path), path.name, weights=beside), static)

    def open(self) -> Any:
        """An `InferenceSession` on the CPU, on one thread. This must outlive it."""
        options = session_options(1)
        source = self.graph.source(options, b"", mapped=not self.static)
        return onnxruntime().InferenceSession(
            source, options, providers=["CPUExecutionProvider"], enable_fallback=0
        )


def _mapped(path: Path) -> Buffer:
    held = open_plain(str(path))
    assert held is not None  # noqa: S101  it was just written
    return held.map()

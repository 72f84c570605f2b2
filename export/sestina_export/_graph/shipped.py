"""A graph that has its weights beside it, opened as the runtime opens it: with views of the mapped file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sestina._bundle.files import open_plain
from sestina._bundle.graph import Graph
from sestina._onnxruntime import onnxruntime, session_options

__all__ = ["Shipped"]


@dataclass(frozen=True, slots=True)
class Shipped:
    """A graph whose weights have a file of their own.

    Attributes:
        graph: It, held open.
        static: Whether it has static shapes: optimizers may then rewrite its weights.
    """

    graph: Graph
    static: bool

    @classmethod
    def of(cls, path: Path, weights: Path, *, static: bool) -> Shipped:
        """What was written."""
        content, values = open_plain(str(path)), open_plain(str(weights))
        assert content is not None  # noqa: S101  both were just written
        assert values is not None  # noqa: S101
        return cls(Graph(content.map(), path.name, weights={weights.name: values.map()}), static)

    def open(self) -> Any:
        """An `InferenceSession` on the CPU, on one thread. This must outlive it."""
        options = session_options(1)
        source = self.graph.source(options, b"", mapped=not self.static)
        return onnxruntime().InferenceSession(
            source, options, providers=["CPUExecutionProvider"], enable_fallback=0
        )

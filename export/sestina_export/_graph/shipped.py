"""A graph as it was written, held as the runtime holds it: its weights stay in their mapped file."""

from __future__ import annotations

from pathlib import Path

from sestina._bundle.files import open_plain
from sestina._bundle.graph import Graph
from sestina._bundle.protobuf import Buffer

__all__ = ["shipped"]


def shipped(path: Path, weights: Path) -> Graph:
    """The graph of a file, and of that of its weights where there is one."""
    beside = {weights.name: _mapped(weights)} if weights.exists() else {}
    return Graph(_mapped(path), path.name, weights=beside)


def _mapped(path: Path) -> Buffer:
    held = open_plain(str(path))
    assert held is not None  # noqa: S101  it was just written
    return held.map()

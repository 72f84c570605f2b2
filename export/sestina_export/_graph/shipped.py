"""A graph as it was written, to measure parity on: of a large one the weights stay in their mapped file."""

from __future__ import annotations

from pathlib import Path

from sestina._bundle.files import open_plain
from sestina._bundle.graph import Graph
from sestina._bundle.protobuf import Buffer

__all__ = ["shipped"]

_MOST_COPIED = 1 << 28  # bytes; what is no larger is read


def shipped(path: Path, weights: Path) -> bytes | Graph:
    """The graph of a file, and of that of its weights where there is one."""
    if not weights.exists() and path.stat().st_size <= _MOST_COPIED:
        return path.read_bytes()
    beside = {weights.name: _mapped(weights)} if weights.exists() else {}
    return Graph(_mapped(path), path.name, weights=beside)


def _mapped(path: Path) -> Buffer:
    held = open_plain(str(path))
    assert held is not None  # noqa: S101  it was just written
    return held.map()

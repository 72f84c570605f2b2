"""One text, and where it came from."""

from __future__ import annotations

from typing import Any, NamedTuple


class Row(NamedTuple):
    """A row of a table: its batch (pyarrow.RecordBatch), and where in it."""

    batch: Any
    at: int


class Text(NamedTuple):
    """One text: what it says, and what to name when something is wrong with it.

    Attributes:
        value: The text.
        source: What it is from.
        line: Its line there, or what `unit` says, counted from 1.
        unit: "line", "element" or "row".
        row: Of a table: where the row's other columns are.
    """

    value: str
    source: str
    line: int | None
    unit: str = "line"
    row: Row | None = None

    @property
    def where(self) -> str:
        """For messages."""
        return self.source if self.line is None else f"{self.source} {self.unit} {self.line}"

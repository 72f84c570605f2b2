"""One text, and where it came from."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol


class Row(NamedTuple):
    """A row of a table: its batch (pyarrow.RecordBatch), and where in it."""

    batch: Any
    at: int


class Rows(Protocol):
    """A table whose rows can be asked for."""

    def row(self, index: int) -> Row:
        """By its place in the table, counted from 0; quickly where they are asked for in order."""


class Text(NamedTuple):
    """One text: what it says, and what to name when something is wrong with it.

    Attributes:
        value: The text.
        source: What it is from.
        line: Its line there, or what `unit` says, counted from 1.
        unit: "line", "element" or "row".
        table: Where the row's other columns are, where it is from a table.
        null: Whether there is none: then `value` is "".
    """

    value: str
    source: str
    line: int | None
    unit: str = "line"
    table: Rows | None = None
    null: bool = False

    @property
    def where(self) -> str:
        """For messages."""
        return self.source if self.line is None else f"{self.source} {self.unit} {self.line}"

"""The document as the benchmark section of a README."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sestina._bench.table import configurations, disturbed
from sestina._bench.tables import Table, left_out, slower, tables


def lines(document: dict[str, Any]) -> Iterator[str]:
    """Every line, from the command that makes it again to the cases in which ours loses."""
    machine, settings = document["machine"], document["settings"]
    packages = machine["packages"]
    versions = ", ".join(f"{name} {packages[name]}" for name in packages)
    yield "```"
    yield document["command"]
    yield "```"
    yield ""
    yield (
        f"Measured on {machine['processor']} ({', '.join(machine['instructions'])}), {settings['threads']} "
        f"threads, {settings['rounds']} rounds in which all contenders take turns. {versions}."
    )
    busy = disturbed(document)
    if busy:
        yield f"{busy[0].upper()}{busy[1:]}."
    for table in tables(document):
        yield ""
        yield f"**{table.title}** ({table.note})"
        yield ""
        yield from _rows(table)
    for title, items in (
        ("Where Sestina is slower or larger", slower(document) or ["nowhere in this run"]),
        ("Not measured", left_out(document)),
        ("Configurations", configurations(document)),
    ):
        if items:
            yield ""
            yield f"**{title}**"
            yield ""
            yield from (f"- {_cell(item)}" for item in items)


def _rows(table: Table) -> Iterator[str]:
    yield _row(table.head)
    yield _row(["---", *["---:"] * (len(table.head) - 1)])
    yield from map(_row, table.rows)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(map(_cell, cells))} |"


def _cell(text: str) -> str:
    """Nothing in a name or a note may end the cell or the line."""
    return " ".join(text.replace("|", "\\|").split())

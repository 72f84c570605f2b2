"""The document as plain aligned text for a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

from sestina._bench.tables import Table, left_out, slower, tables

_WIDTH = 110


def lines(document: dict[str, Any]) -> Iterator[str]:
    """Every line, without line endings."""
    yield from heading(document)
    for table in tables(document):
        yield ""
        yield f"{table.title} ({table.note})"
        yield from _aligned(table)
    for title, items in (
        ("Where ours is slower or larger", slower(document)),
        ("Not measured", left_out(document)),
        ("Configurations", configurations(document)),
    ):
        if items:
            yield ""
            yield title
            for item in items:
                yield from textwrap.wrap(item, _WIDTH, initial_indent="  ", subsequent_indent="    ")


def heading(document: dict[str, Any]) -> Iterator[str]:
    """What was measured, and on what."""
    machine, bundle, settings = document["machine"], document["bundle"], document["settings"]
    yield f"{bundle['name']}: {bundle['dimensions']} dimensions, up to {bundle['max_tokens']} tokens"
    instructions = f" ({', '.join(machine['instructions'])})" if machine["instructions"] else ""
    yield (
        f"{machine['processor']}{instructions}, {_cores(machine['cores'])}; {settings['threads']} threads, "
        f"{settings['rounds']} rounds; onnxruntime {machine['packages'].get('onnxruntime')}"
    )
    yield document["command"]
    busy = disturbed(document)
    if busy:
        yield busy


def disturbed(document: dict[str, Any]) -> str | None:
    """A warning where other work was going on when the run began."""
    load, cores = document["machine"]["load_average"], document["machine"]["cores"]
    if load is None or load <= 0.3 * cores:
        return None
    return f"the load average was {load} on {_cores(cores)} at the start: other work disturbs these figures"


def configurations(document: dict[str, Any]) -> list[str]:
    """How each contender was run."""
    return [
        f"{row['name']}: {row['description']}" for row in document["contenders"] if row["state"] == "measured"
    ]


def _cores(count: int) -> str:
    return f"{count} core{'' if count == 1 else 's'}"


def _aligned(table: Table) -> Iterator[str]:
    """Names to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(table.head, *table.rows, strict=True)]
    for row in (table.head, *table.rows):
        yield "  " + "  ".join(_cells(row, widths)).rstrip()


def _cells(row: Sequence[str], widths: Sequence[int]) -> Iterator[str]:
    yield row[0].ljust(widths[0])
    for cell, width in zip(row[1:], widths[1:], strict=True):
        yield cell.rjust(width)

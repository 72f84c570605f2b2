"""The document as one page that needs nothing else: plots, tables, and how everything was run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from typing import Any

from sestina import _html as html
from sestina._bench.contender import DEFAULT, OURS
from sestina._bench.svg import Bar, Dot, bars, dots
from sestina._bench.table import configurations, heading
from sestina._bench.tables import Table, left_out, measure_name, memory, number, slower, spread, tables

_STYLE = """
:root { --ours2: #4fb3a9; --ours3: #a3d9d2; --best: #7a86a8; --best2: #a2acc6; --best3: #cdd3e2;
  --default: #c9ced9; --default2: #dbdfe6; --default3: #eceef2; }
@media (prefers-color-scheme: dark) { :root { --ours2: #2a8880; --ours3: #1d5f5a; --best: #8c98bb;
  --best2: #66708f; --best3: #474f68; --default: #555d6b; --default2: #434955; --default3: #343942; } }
body { max-width: 62rem; }
figure { margin: 1rem 0 1.6rem; } svg { width: 100%; height: auto; overflow: visible; }
svg text { font-size: 13px; fill: var(--text); font-variant-numeric: tabular-nums; }
.ours { fill: var(--ours); } .best { fill: var(--best); } .default { fill: var(--default); }
.ours.part1 { fill: var(--ours2); } .ours.part2 { fill: var(--ours3); }
.best.part1 { fill: var(--best2); } .best.part2 { fill: var(--best3); }
.default.part1 { fill: var(--default2); } .default.part2 { fill: var(--default3); }
.whisker { stroke: var(--text); stroke-width: 1.3; opacity: .6; }
.axis { stroke: var(--faint); stroke-dasharray: 3 3; }
.key { display: inline-block; width: .8rem; height: .8rem; margin: 0 .3rem 0 1rem; background: var(--c); }
"""
_KEY = (
    '<p><span class="key" style="--c: var(--ours)"></span>sestina '
    '<span class="key" style="--c: var(--best)"></span>a peer at its best '
    '<span class="key" style="--c: var(--default)"></span>a peer as it comes</p>'
)


def page(document: dict[str, Any]) -> str:
    """The whole page. Every element is closed, so that it is XML too."""
    first, *rest = heading(document)
    parts = [
        f"<h1>{escape(first)}</h1>",
        *(f"<p>{escape(line)}</p>" for line in rest if line != document["command"]),
        f"<p><code>{escape(document['command'])}</code></p>",
        _KEY,
        *_plots(document),
        *(_table(table) for table in tables(document)),
        _list("Where ours is slower or larger", slower(document)),
        _list("Not measured", left_out(document)),
        _list("Configurations", configurations(document)),
    ]
    body = "\n".join(part for part in parts if part)
    return html.page(f"{document['bundle']['name']}: benchmark", _STYLE, body)


def _plots(document: dict[str, Any]) -> Iterator[str]:
    measured = [row for row in document["contenders"] if row["state"] == "measured"]
    corpus = document["corpus"]
    yield "<h2>Throughput</h2>"
    yield bars(
        [Bar(row["name"], _kind(row), [_docs(row)], number(_docs(row))) for row in measured],
        f"passages per second, {corpus['passages']} of mixed length; longer is better",
    )
    yield "<h2>Latency by length</h2>"
    for length in corpus["uniform"]:
        yield bars(
            [_latency(row, length) for row in measured],
            f"one text of {length} tokens, milliseconds: bars to the median, lines to p95; shorter is better",
        )
    yield from _ratios(document)
    yield "<h2>Memory</h2>"
    known = [row for row in measured if row["peak_memory_bytes"] is not None]
    yield bars(
        [
            Bar(row["name"], _kind(row), [row["peak_memory_bytes"]], memory(row["peak_memory_bytes"]))
            for row in known
        ],
        "peak resident memory of the corpus run, MiB; shorter is better",
    )
    yield "<h2>Cold start</h2>"
    yield bars(
        [_start(row["name"], _kind(row), row["cold_start_ms"]) for row in measured],
        "milliseconds in a fresh process: import, load, first vector, end to end; shorter is better",
    )


def _ratios(document: dict[str, Any]) -> Iterator[str]:
    kinds = {row["name"]: _kind(row) for row in document["contenders"]}
    measures = dict.fromkeys(row["measure"] for row in document["ratios"])
    if measures:
        yield "<h2>Ratios</h2>"
    for measure in sorted(measures, key=lambda name: (not name.startswith("corpus"), name == "memory")):
        if measure.startswith("uniform"):
            continue  # in the table: a plot for each would bury the others
        rows = [
            Dot(
                f"{row['ours'].removeprefix(OURS).lstrip(' -')} : {row['other']}",
                kinds[row["other"]],
                row["value"],
                row["low"],
                row["high"],
                spread(row),
            )
            for row in document["ratios"]
            if row["measure"] == measure
        ]
        better = "smaller" if measure == "memory" else "faster"
        name = measure_name(measure) + (" tokens" if "/" in measure else "")
        yield dots(rows, f"{name}: how many times {better} ours is; right of the line is {better}")


def _latency(row: dict[str, Any], length: str) -> Bar:
    cell = row["latency_ms"][length]
    label = f"{number(cell['p50'])} / {number(cell['p95'])}"
    return Bar(row["name"], _kind(row), [cell["p50"]], label, cell["p95"])


def _start(name: str, kind: str, parts: dict[str, float]) -> Bar:
    return Bar(name, kind, [parts[part] for part in ("import", "load", "first")], number(parts["start"]))


def _docs(row: dict[str, Any]) -> float:
    value: float = row["corpus"]["docs_per_s"]
    return value


def _kind(row: dict[str, Any]) -> str:
    return "ours" if row["peer"] in (OURS, DEFAULT) else str(row["configuration"])


def _table(table: Table) -> str:
    rows = [html.row("th", table.head), *(html.row("td", row) for row in table.rows)]
    content = "\n".join(rows)
    return (
        f"<h2>{escape(table.title)}</h2>\n<p>{escape(table.note)}</p>\n"
        f'<div class="scroll"><table>\n{content}\n</table></div>'
    )


def _list(title: str, items: Sequence[str]) -> str:
    if not items:
        return ""
    content = "\n".join(f"<li>{escape(item)}</li>" for item in items)
    return f"<h2>{escape(title)}</h2>\n<ul>\n{content}\n</ul>"

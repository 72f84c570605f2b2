"""The document as tables of strings, which the terminal, Markdown and HTML each draw in their own way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

MEASURES = {"corpus": "corpus", "start": "cold start", "memory": "peak memory"}


class Table(NamedTuple):
    """A title, what its cells mean, column heads (the first is of the names), and rows."""

    title: str
    note: str
    head: list[str]
    rows: list[list[str]]


def tables(document: dict[str, Any]) -> Iterator[Table]:
    """Every table that has something to show."""
    measured = [row for row in document["contenders"] if row["state"] == "measured"]
    if "grid" in document:
        found = [_grid(document, measured), *_ratios(document), _agreement(measured)]
    else:
        found = _of_whole_run(document, measured)
    yield from (table for table in found if table.rows)


def _of_whole_run(document: dict[str, Any], measured: Sequence[dict[str, Any]]) -> list[Table]:
    lengths = list(document["corpus"]["uniform"])
    return [
        _latency(measured, lengths),
        _throughput(measured, lengths, document),
        _start(measured, document),
        *_ratios(document),
        _roofline(document["roofline"]),
        *(_profile(part) for part in document["profile"]),
        _agreement(measured),
    ]


def _latency(measured: Sequence[dict[str, Any]], lengths: Sequence[str]) -> Table:
    rows = []
    for row in measured:
        cells = (row["latency_ms"][length] for length in lengths)
        rows.append([row["name"], *(" / ".join(number(cell[p]) for p in cell) for cell in cells)])
    head = ["contender", *(f"{length} tokens" for length in lengths)]
    return Table("One text", "milliseconds: p50 / p95 / p99", head, rows)


def _grid(document: dict[str, Any], measured: Sequence[dict[str, Any]]) -> Table:
    names = [row["name"] for row in measured]
    rows = []
    for row in document["grid"]:
        cells = (row["contenders"][name] for name in names)
        rows.append([row["cell"], *(f"{number(c['p50_ms'])} / {number(c['texts_per_s'])}" for c in cells)])
    note = "tokens x texts of a call; milliseconds (p50) / texts per second"
    return Table("Batches of one length", note, ["batch", *names], rows)


def _throughput(
    measured: Sequence[dict[str, Any]], lengths: Sequence[str], document: dict[str, Any]
) -> Table:
    corpus = document["corpus"]
    rows = [
        [
            row["name"],
            number(row["corpus"]["docs_per_s"]),
            number(row["corpus"]["tokens_per_s"]),
            *(number(row["uniform"][length]["tokens_per_s"]) for length in lengths),
        ]
        for row in measured
    ]
    note = (
        f"{corpus['passages']} passages of mixed length ({corpus['origin']}, {corpus['mean_tokens']} tokens "
        "on average); then tokens/s on corpora of one length"
    )
    head = ["contender", "docs/s", "tokens/s", *(f"at {length} tokens" for length in lengths)]
    return Table("Corpus", note, head, rows)


def _start(measured: Sequence[dict[str, Any]], document: dict[str, Any]) -> Table:
    rows = [
        [
            row["name"],
            *(number(row["cold_start_ms"][part]) for part in ("import", "load", "first", "start")),
            memory(row["peak_memory_bytes"]),
        ]
        for row in measured
    ]
    note = f"milliseconds, median of {document['settings']['starts']} fresh processes; peak of the corpus run"
    return Table(
        "Cold start and memory",
        note,
        ["contender", "import", "load", "first vector", "together", "peak memory, MiB"],
        rows,
    )


def _ratios(document: dict[str, Any]) -> Iterator[Table]:
    """A table for each kind of measure: all of them side by side are wider than any terminal."""
    for title, kinds in (
        ("Ratios: one text", ("latency",)),
        ("Ratios: corpus", ("corpus", "uniform")),
        ("Ratios: batches", ("grid",)),
        ("Ratios: cold start and memory", ("start", "memory")),
    ):
        found = [row for row in document["ratios"] if row["measure"].partition("/")[0] in kinds]
        measures = list(dict.fromkeys(row["measure"] for row in found))
        pairs: dict[tuple[str, str], dict[str, str]] = {}
        for row in found:
            pairs.setdefault((row["ours"], row["other"]), {})[row["measure"]] = spread(row)
        rows = [
            [f"{ours} : {other}", *(cells.get(measure, "") for measure in measures)]
            for (ours, other), cells in pairs.items()
        ]
        better = "faster or smaller" if "memory" in kinds else "faster"
        note = f"how many times {better} ours is: ratio of medians (quartiles of the rounds)"
        yield Table(title, note, ["ours : other", *map(measure_name, measures)], rows)


def _roofline(parts: Sequence[dict[str, Any]]) -> Table:
    rows = [
        [
            f"{part['contender']} at {part['tokens']} tokens",
            number(part["gemm_ms"]),
            number(part["encoder_ms"]),
            f"{100 * part['share']:.0f}% ({100 * part['low']:.0f}-{100 * part['high']:.0f})",
            number(part["gemm_gflop_per_s"]),
            part["kernel"],
        ]
        for part in parts
    ]
    head = ["encoder", "matrix products alone, ms", "encoder, ms", "share", "GFLOP/s of them", "kernel"]
    note = "time per text on all threads that the matrix products of the model need when nothing else runs"
    return Table("Roofline", note, head, rows)


def _profile(part: dict[str, Any]) -> Table:
    rows = [
        [row["operator"], str(row["calls"]), number(row["ms"]), f"{100 * row['share']:.1f}%"]
        for row in part["operators"]
    ]
    note = f"{part['passages']} passages of the length mix, summed over threads"
    return Table(f"Operators of {part['contender']}", note, ["operator", "calls", "ms", "share"], rows)


def _agreement(measured: Sequence[dict[str, Any]]) -> Table:
    rows = [
        [
            row["name"],
            f"{row['agreement']['worst_cosine']:.6f}",
            f"{row['agreement']['mean_cosine']:.6f}",
            f"{row['agreement']['worst_difference']:.2g}",
        ]
        for row in measured
        if row["agreement"]
    ]
    head = ["contender", "worst cosine", "mean cosine", "largest difference"]
    return Table("Agreement with PyTorch", "compared before anything was timed", head, rows)


def measure_name(measure: str) -> str:
    """A measure for people."""
    kind, _, length = measure.partition("/")
    if kind == "latency":
        return f"one text of {length}"
    if kind == "grid":
        return length
    if kind == "uniform":
        return f"corpus of {length}"
    return MEASURES[kind]


def slower(document: dict[str, Any]) -> list[str]:
    """The cases in which ours loses: a line for each opponent, the worst case first."""
    pairs: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in document["slower"]:
        pairs.setdefault((row["ours"], row["other"]), []).append(row)
    precisions = {row["name"]: row["precision"] for row in document["contenders"]}
    lines = []
    for (ours, other), rows in pairs.items():
        cases = ", ".join(
            f"{measure_name(row['measure'])} {spread(row)}"
            for row in sorted(rows, key=lambda row: row["value"])
        )
        unlike = "" if precisions[ours] == precisions[other] else ", which computes in another precision"
        lines.append(f"{ours} against {other}{unlike}: {cases}")
    return lines


def left_out(document: dict[str, Any]) -> list[str]:
    """What was not measured, and why."""
    return [
        f"{row['name']}: {row['state']}: {row['note']}"
        for row in document["contenders"]
        if row["state"] != "measured"
    ]


def spread(row: dict[str, Any]) -> str:
    """A ratio and its quartiles."""
    return f"{times(row['value'])} ({times(row['low'])}-{times(row['high'])})"


def times(value: float) -> str:
    """A ratio."""
    return f"{value:.2f}" if value < 9.95 else f"{value:.0f}"


def number(value: float) -> str:
    """A quantity with about three digits."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def memory(value: int | None) -> str:
    """Bytes as MiB."""
    return "not measured" if value is None else f"{value / (1 << 20):,.0f}"

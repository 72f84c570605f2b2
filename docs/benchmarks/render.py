"""The benchmark pages from the documents of runs: python docs/benchmarks/render.py

A document is what `sestina bench --json` prints, with three members more, which are written by hand: `title`,
the processor for people; `origin`, where a document that was not printed so comes from; `remarks`, what a
reader has to know of this run. Each gets a page of its own beside it; the tables between markers in index.md
and in the README are taken from all of them. `tests/test_docs.py` holds that every page is what this renders.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from sestina._bench.markdown import lines as whole_run
from sestina._bench.tables import measure_name, slower, times

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]

# In the order of the tables: a name for a column, and its document.
PROCESSORS = {
    "AMD Zen 5, AVX-512 with VNNI": "zen5-avx512-vnni",
    "Intel Xeon with AMX": "xeon-amx",
    "AMD Zen 3, AVX2 without VNNI": "zen3-avx2",
}
# What the README shows: what is compared, in which precision, by which measure; then ours, other and measure.
ROWS = [
    ("sentence-transformers, both fp32, corpus", "sestina fp32", "sentence-transformers fp32", "corpus"),
    ("sentence-transformers, both fp32, cold start", "sestina fp32", "sentence-transformers fp32", "start"),
    ("fastembed at its best, both fp32, corpus", "sestina fp32", "fastembed fp32", "corpus"),
    ("CTranslate2, both int8, corpus", "sestina int8", "ctranslate2 int8", "corpus"),
    ("OpenVINO, both int8, one text of 64 tokens", "sestina int8", "openvino int8", "latency/64"),
    (
        "fastembed with MiniLM in fp32, against the encoder in the box in int8, one text of 64 tokens",
        "sestina-default int8",
        "fastembed fp32",
        "latency/64",
    ),
]
# What index.md shows besides.
MORE_ROWS = [
    ("our own fp32, against our int8, corpus", "sestina int8", "sestina fp32", "corpus"),
    ("our own fp32, against our int8, one text of 64 tokens", "sestina int8", "sestina fp32", "latency/64"),
    ("CTranslate2, both fp32, corpus", "sestina fp32", "ctranslate2 fp32", "corpus"),
    ("OpenVINO, both fp32, corpus", "sestina fp32", "openvino fp32", "corpus"),
    ("OpenVINO, both int8, corpus", "sestina int8", "openvino int8", "corpus"),
    ("sentence-transformers, both fp32, peak memory", "sestina fp32", "sentence-transformers fp32", "memory"),
]
# What index.md shows of VNNI: with it, with it, without, without and quiet.
VNNI_COLUMNS = {**PROCESSORS, "the same, quiet": "zen3-avx2-quiet"}
VNNI_ROWS = [
    ("our int8 over our fp32, corpus", "sestina int8", "sestina fp32", "corpus"),
    *(
        (f"our int8 over our fp32, one text of {n}", "sestina int8", "sestina fp32", f"latency/{n}")
        for n in (16, 64, 256)
    ),
    ("our int8 over CTranslate2's, corpus", "sestina int8", "ctranslate2 int8", "corpus"),
    *(
        (
            f"the encoder in the box over {name}, one text of {n}",
            "sestina-default int8",
            other,
            f"latency/{n}",
        )
        for name, other, lengths in (
            ("MiniLM in fp32 through fastembed's best", "fastembed fp32", (16, 64, 256)),
            ("MiniLM in our own fp32", "sestina fp32", (16, 64, 128, 256)),
        )
        for n in lengths
    ),
]
NOT_RUN = (
    "<!-- not run: what made this run, in about an hour; "
    "tests/runtime/bench/test_bench.py runs bench briefly -->\n"
)


def documents() -> dict[str, dict[str, Any]]:
    """Every committed document by its name, without the suffix."""
    return {path.stem: json.loads(path.read_text("utf-8")) for path in sorted(HERE.glob("*.json"))}


def page(name: str, document: dict[str, Any]) -> str:
    """The page of one run."""
    parts = [f"# {document['title']}", f"Of [{name}.json]({name}.json). {document.get('origin', '')}".strip()]
    if document.get("remarks"):
        parts.append(document["remarks"])
    whole = any(row["state"] == "measured" for row in document["contenders"])
    parts.append(NOT_RUN + "\n".join(whole_run(document) if whole else _ratios_alone(document)))
    return "\n\n".join(parts) + "\n"


def _ratios_alone(document: dict[str, Any]) -> Iterator[str]:
    """A run of which the ratios are all that was kept."""
    if document["command"]:
        yield from ("```", document["command"], "```", "")
    settings = document["settings"]
    turns = f", {settings['threads']} threads, {settings['rounds']} rounds" if settings else ""
    yield f"Measured on {document['machine']['processor']}{turns}, in which all contenders take turns."
    yield from ("", "**Ratios** (how many times faster or smaller ours is)", "")
    measures = list(dict.fromkeys(row["measure"] for row in document["ratios"]))
    pairs: dict[tuple[str, str], dict[str, str]] = {}
    for row in document["ratios"]:
        pairs.setdefault((row["ours"], row["other"]), {})[row["measure"]] = _spread(row)
    yield from _table(
        ["ours : other", *map(measure_name, measures)],
        [[f"{a} : {b}", *(cells.get(m, "") for m in measures)] for (a, b), cells in pairs.items()],
    )
    if document["slower"]:
        yield from ("", "**Where Sestina is slower or larger**", "")
        yield from (f"- {line}" for line in slower(document))


def summary(
    rows: Sequence[tuple[str, str, str, str]], columns: dict[str, str], found: dict[str, dict[str, Any]]
) -> str:
    """How many times faster ours is, a column for each kind of processor; empty where a run does not say."""
    cells = {
        name: {(row["ours"], row["other"], row["measure"]): _spread(row) for row in found[name]["ratios"]}
        for name in columns.values()
    }
    body = [
        [label, *(cells[name].get((ours, other, measure), "") for name in columns.values())]
        for label, ours, other, measure in rows
    ]
    return "\n".join(_table(["", *columns], body))


def _spread(row: dict[str, Any]) -> str:
    """A ratio, and its quartiles where they were kept."""
    if "low" not in row:
        return f"{row['value']:g}"
    return f"{times(row['value'])} ({times(row['low'])}-{times(row['high'])})"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|---|{'---:|' * (len(head) - 1)}"
    yield from (f"| {' | '.join(row)} |" for row in rows)


def between_markers(text: str, marker: str, content: str) -> str:
    """`text` with what stands between the two comments of `marker` replaced.

    Raises:
        ValueError: Where it has not just one such place.
    """
    begin, end = f"<!-- {marker}: rendered by docs/benchmarks/render.py -->\n", f"<!-- end of {marker} -->"
    pattern = re.compile(f"(?<={re.escape(begin)}).*?(?={re.escape(end)})", re.DOTALL)
    replaced, count = pattern.subn(lambda _: f"{content}\n", text)
    if count != 1:
        raise ValueError(f"there are {count} places for {marker}; there must be one")
    return replaced


def rendered() -> dict[Path, str]:
    """Every file that holds something rendered, as it must be."""
    found = documents()
    pages = {HERE / f"{name}.md": page(name, document) for name, document in found.items()}
    for path, marker, rows, columns in (
        (ROOT / "README.md", "speed", ROWS, PROCESSORS),
        (HERE / "index.md", "speed", [*ROWS, *MORE_ROWS], PROCESSORS),
        (HERE / "index.md", "vnni", VNNI_ROWS, VNNI_COLUMNS),
    ):
        text = pages.get(path) or path.read_text("utf-8")
        pages[path] = between_markers(text, marker, summary(rows, columns, found))
    return pages


if __name__ == "__main__":
    for path, text in rendered().items():
        path.write_text(text, "utf-8")

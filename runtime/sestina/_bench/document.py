"""The document of a run: plain data, of which every table and plot is drawn."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import sestina
from sestina._bench.contender import DEFAULT, OURS, Setting
from sestina._bench.corpus import Corpus
from sestina._bench.plan import Sizes, opposite
from sestina._bench.results import Result
from sestina._bench.statistics import Rounds, median, percentile, pooled, ratio
from sestina._bundle.manifest import Manifest

FORMAT_VERSION = 1


def build(
    command: str,
    machine: dict[str, Any],
    manifest: Manifest,
    setting: Setting,
    sizes: Sizes,
    corpus: Corpus,
    results: Sequence[Result],
    roofline: Sequence[dict[str, Any]] = (),
    profile: Sequence[dict[str, Any]] = (),
) -> dict[str, Any]:
    """Everything that a run found out. Units are in the names of members."""
    ratios = _ratios(results)
    return {
        **head("sestina-bench", command, machine, manifest, setting),
        "settings": {"threads": setting.threads, **dataclasses.asdict(sizes)},
        "corpus": {
            "origin": corpus.origin,
            "passages": len(corpus.texts),
            "tokens": corpus.total_tokens,
            "mean_tokens": round(corpus.total_tokens / len(corpus.texts), 1),
            "uniform": corpus.uniform,
        },
        "contenders": [_contender(result, corpus) for result in results],
        "ratios": ratios,
        "slower": [row for row in ratios if row["value"] < 1],
        "roofline": list(roofline),
        "profile": list(profile),
    }


def head(
    kind: str, command: str, machine: dict[str, Any], manifest: Manifest, setting: Setting
) -> dict[str, Any]:
    """What a document is, what made it, where, and of what."""
    return {
        "format": kind,
        "format_version": FORMAT_VERSION,
        "sestina": sestina.__version__,
        "command": command,
        "machine": machine,
        "bundle": {
            "path": setting.bundle,
            "name": manifest.name,
            "space": manifest.space,
            "dimensions": setting.dimensions,
            "max_tokens": setting.max_tokens,
        },
        "source": setting.source,
    }


def contender_facts(result: Result) -> dict[str, Any]:
    """What a contender is, and whether it was measured."""
    return {
        "name": result.entry.name,
        "peer": result.entry.peer,
        "precision": result.entry.precision,
        "configuration": result.entry.configuration,
        "description": result.description,
        "state": result.state,
        "note": result.note,
        "agreement": dataclasses.asdict(result.agreement) if result.agreement else None,
    }


def _contender(result: Result, corpus: Corpus) -> dict[str, Any]:
    samples = result.samples
    return {
        **contender_facts(result),
        "latency_ms": {
            length: {f"p{q}": 1000 * percentile(pooled(rounds), q) for q in (50, 95, 99)}
            for length, rounds in _by_length(samples, "latency")
        },
        "corpus": _rates(samples["corpus"], len(corpus.texts), corpus.total_tokens)
        if "corpus" in samples
        else None,
        "uniform": {
            length: _rates(rounds, corpus.uniform[length], int(length) * corpus.uniform[length])
            for length, rounds in _by_length(samples, "uniform")
        },
        "cold_start_ms": {
            part: 1000 * median(pooled(samples[part]))
            for part in ("import", "load", "first", "start")
            if part in samples
        },
        "peak_memory_bytes": int(median(pooled(samples["memory"]))) if "memory" in samples else None,
        "samples": samples,
    }


def _by_length(samples: dict[str, list[list[float]]], kind: str) -> Iterator[tuple[str, Rounds]]:
    for measure, rounds in samples.items():
        found, _, length = measure.partition("/")
        if found == kind:
            yield length, rounds


def _rates(rounds: Rounds, docs: int, tokens: int) -> dict[str, float]:
    seconds = median(pooled(rounds))
    return {"seconds": seconds, "docs_per_s": docs / seconds, "tokens_per_s": tokens / seconds}


def _ratios(results: Sequence[Result]) -> list[dict[str, Any]]:
    """How many times less time and memory ours takes than each peer; below 1 where ours takes more.

    Our other precisions are compared with our first, which tells what they gain. The embedded encoder, where
    it takes part, is compared with every peer too: what it is like to choose it instead.
    """
    ours = [result for result in results if result.entry.peer == OURS and result.runs]
    by_entry = {result.entry: result for result in ours}
    rows: list[dict[str, Any]] = []
    for result in ours[1:]:
        rows += _compare(result, ours[0])
    for result in results:
        if ours and result.runs and result.entry.peer != OURS:
            rows += _compare(by_entry[opposite(result.entry, list(by_entry))], result)
    for own in results:
        if own.entry.peer == DEFAULT and own.runs:
            theirs = (each for each in results if each.runs and each.entry.peer not in (OURS, DEFAULT))
            rows += [row for other in theirs for row in _compare(own, other)]
    return rows


def _compare(own: Result, other: Result) -> Iterator[dict[str, Any]]:
    for measure, rounds in other.samples.items():
        if measure in own.samples and measure not in ("import", "load", "first"):
            yield {
                "ours": own.entry.name,
                "other": other.entry.name,
                "measure": measure,
                **dataclasses.asdict(ratio(rounds, own.samples[measure])),
            }

"""Bundles that do not embed: their calls on one corpus, beside the library that their users come from."""

from __future__ import annotations

import statistics as _statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

import sestina
from sestina._bench.corpus import of_length
from sestina._bench.machine import describe
from sestina._bench.plan import chosen_precisions
from sestina._bench.statistics import ratio
from sestina._bench.task_peers import Call, counted, peer_name, peer_of
from sestina._bundle.bundle import Bundle
from sestina._errors import InputError
from sestina._process.threads import usable_cores
from sestina._text.tokenizer import Tokenizer

if TYPE_CHECKING:
    from sestina._arrays import Vectors
    from sestina._bench.measure import Status
    from sestina._bench.run import Options
    from sestina._bundle.manifest import Manifest

_TEXTS, _QUICK_TEXTS, _TOKENS = 100, 24, 128
_ROUNDS, _QUICK_ROUNDS = 5, 2
_QUERY_WORDS = 6
_AGREES = 1e-4  # of fp32 to the peer's numbers; what is less than float32 is only told


def run(options: Options, status: Status) -> dict[str, Any]:
    """Score or classify the same texts, round by round in turn.

    Returns: a document: the machine, the texts, and for each contender its times, its rate and, beside the
        peer, how many times as fast it is.

    Raises:
        InputError: Where the bundle does not reproduce its goldens, or does not match the source.
        MissingExtraError: Where the peer is not installed.
    """
    manifest = Bundle(options.bundle).manifest
    threads = options.threads or usable_cores()
    texts = list(options.texts[1])[:_TEXTS] if options.texts else _generated(options, manifest)
    query = " ".join(texts[0].split()[:_QUERY_WORDS])
    with ExitStack() as stack:
        calls: dict[str, Call] = {}
        for precision in chosen_precisions(options.precision, manifest):
            status(f"loading {precision}")
            calls[f"sestina {precision}"] = _ours(options, manifest, precision, query, texts, stack)
        if options.source is not None:
            status("loading the peer")
            calls[peer_name(manifest)] = peer_of(options, manifest, threads, query, texts)
        found = {name: _dense(call()) for name, call in calls.items()}  # and warms each up
        _check(found, options)
        times: dict[str, list[list[float]]] = {name: [] for name in calls}
        for number in range(options.rounds or (_QUICK_ROUNDS if options.quick else _ROUNDS)):
            for name, call in calls.items():
                status(f"round {number + 1}: {name}")
                begin = time.perf_counter()
                call()
                times[name].append([time.perf_counter() - begin])
    return {
        "task": manifest.task,
        "bundle": manifest.name,
        "command": options.command,
        "machine": describe(threads),
        "texts": len(texts),
        "results": list(_results(times, found, len(texts))),
    }


def lines(document: dict[str, Any], *, markdown: bool = False) -> Iterator[str]:
    """The document for a terminal, or as a table for a README."""
    yield f"{document['bundle']} ({document['task']}), {document['texts']} texts a call"
    rows = [("", "ms a call", "texts/s", "times as fast", "largest difference")]
    for each in document["results"]:
        faster = each["ratio"]
        rows.append(
            (
                each["name"],
                f"{each['median_ms']:.0f}",
                f"{each['per_second']:.0f}",
                "" if faster is None else f"{faster['value']:.2f} ({faster['low']:.2f}-{faster['high']:.2f})",
                "" if each["difference"] is None else f"{each['difference']:.2g}",
            )
        )
    if markdown:
        rows.insert(1, ("---", "---", "---", "---", "---"))
        yield from (f"| {' | '.join(row)} |" for row in rows)
        return
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _generated(options: Options, manifest: Manifest) -> list[str]:
    """Texts of 128 tokens, or as many as a query leaves room for."""
    bundle = Bundle(options.bundle)
    tokenizer = Tokenizer(bundle.read("tokenizer.json"), manifest.contract.max_tokens)

    def count(text: str) -> int:
        tokens = tokenizer.tokens(text)
        return len(tokens.ids) + tokens.truncated

    length = min(_TOKENS, manifest.contract.max_tokens * 3 // 4)
    try:
        return of_length(length, _QUICK_TEXTS if options.quick else _TEXTS, count)
    except ValueError as error:
        raise InputError(f"{options.bundle} cannot be measured: {error}") from None


def _ours(
    options: Options, manifest: Manifest, precision: str, query: str, texts: list[str], stack: ExitStack
) -> Call:
    given: dict[str, Any] = {"precision": precision, "threads": options.threads, "provider": "cpu"}
    call: Call
    loaded: (
        sestina.Reranker
        | sestina.Classifier
        | sestina.Tagger
        | sestina.SparseEncoder
        | sestina.MultiVectorEncoder
    )
    if manifest.task == "rerank":
        reranker = loaded = stack.enter_context(sestina.load_reranker(options.bundle, **given))

        def call() -> Vectors:
            return reranker.score(query, texts, on_truncate="ignore")
    elif manifest.task == "multi-vector":
        late = loaded = stack.enter_context(sestina.load_multi_vector_encoder(options.bundle, **given))

        def call() -> Vectors:
            return late.score(query, texts, on_truncate="ignore")
    elif manifest.task == "tag":
        tagger = loaded = stack.enter_context(sestina.load_tagger(options.bundle, **given))

        def call() -> Vectors:
            return counted(tagger.tag(texts, on_truncate="ignore"))
    elif manifest.task == "sparse":
        encoder = loaded = stack.enter_context(sestina.load_sparse_encoder(options.bundle, **given))

        def call() -> sestina.SparseVectors:
            return encoder.encode(texts, prompt_text="", on_truncate="ignore")
    else:
        classifier = loaded = stack.enter_context(sestina.load_classifier(options.bundle, **given))

        def call() -> Vectors:
            return classifier.probabilities(texts, on_truncate="ignore")

    if not loaded.verify().passed:
        raise InputError(
            f"{options.bundle} does not reproduce its goldens in {precision} on this machine: run sestina "
            f"verify {options.bundle}"
        )
    return call


def _dense(found: Any) -> Vectors:
    """What a call gave, to be compared: of sparse rows, ours and torch's, all the columns."""
    if isinstance(found, sestina.SparseVectors):
        return found.to_dense()
    dense: Vectors = found.to_dense().numpy() if hasattr(found, "to_dense") else found
    return dense


def _check(found: dict[str, Vectors], options: Options) -> None:
    """What does not compute what the checkpoint computes is not worth timing."""
    if options.source is None:
        return
    *ours, peer = found
    for name in ours:
        difference = float(np.abs(found[name].reshape(found[peer].shape) - found[peer]).max())
        if name.endswith("fp32") and not difference <= _AGREES:
            raise InputError(
                f"{options.bundle} does not match --source {options.source}: its numbers are "
                f"{difference:.2g} from the peer's; name the checkpoint that the bundle was exported from"
            )


def _results(
    times: dict[str, list[list[float]]], found: dict[str, Vectors], texts: int
) -> Iterator[dict[str, Any]]:
    names = list(times)
    peer = names[-1] if not names[-1].startswith("sestina") else None
    for name in names:
        middle = _statistics.median(each[0] for each in times[name])
        compared = peer is not None and name != peer
        yield {
            "name": name,
            "median_ms": 1000 * middle,
            "per_second": texts / middle,
            "seconds": [each[0] for each in times[name]],
            "ratio": asdict(ratio(times[peer], times[name])) if peer is not None and compared else None,
            "difference": float(np.abs(found[name].reshape(found[peer].shape) - found[peer]).max())
            if peer is not None and compared
            else None,
        }

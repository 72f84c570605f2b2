"""Batches of one length on one provider, beside PyTorch on the same device: by length and by batch.

A call is one batch, text to vector: tokenization is part of it on every side.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from sestina._bench.contender import ON_DEVICE, Entry, Setting, missing
from sestina._bench.corpus import clipped, of_length, passages
from sestina._bench.document import contender_facts, head
from sestina._bench.machine import describe
from sestina._bench.measure import Phases, Status
from sestina._bench.plan import Sizes
from sestina._bench.reference import PIP, reference_vectors
from sestina._bench.results import Result
from sestina._bench.run import Options, setting_of, sizes_of
from sestina._bench.statistics import median, pooled, ratio
from sestina._bundle.bundle import Bundle
from sestina._bundle.manifest import TOKENIZER, Manifest
from sestina._errors import InputError, OptionError, ProviderError
from sestina._process.threads import usable_cores
from sestina._providers.choice import choose
from sestina._providers.request import read_request
from sestina._text.tokenizer import Tokenizer

LENGTHS = (16, 32, 64, 128, 256, 512)
BATCHES = (1, 4, 16, 64, 256)
_FULL = Sizes(rounds=5, calls=20, starts=0, passages=0, uniform_tokens=0, checked=48)
_QUICK = Sizes(rounds=2, calls=5, starts=0, passages=0, uniform_tokens=0, checked=8)
_QUICK_LENGTHS, _QUICK_BATCHES = (16, 64), (1, 8)


def run(options: Options, provider: str, status: Status) -> dict[str, Any]:
    """Measure one provider.

    Args:
        options: As for a whole run. Without a source there is no PyTorch beside it; of several precisions
            the one that the provider runs best is measured.
        provider: As `sestina.load` takes one name.
        status: Is told what is being done.

    Returns: the document, as `sestina bench --provider ... --json` prints it.

    Raises:
        SestinaError: Where the bundle or an option cannot be used, or the provider does not run the bundle.
    """
    if read_request(provider) is None:
        raise OptionError("--provider is 'auto'; name one, as sestina providers does")
    if options.more_threads:
        raise OptionError("--threads takes one number with --provider: leave out the others")
    sizes = sizes_of(options, _QUICK, _FULL)
    opened = Bundle(options.bundle)
    manifest = opened.manifest
    precision = "auto" if options.precision == "all" else options.precision
    choice = choose(opened, provider, precision)
    texts, cells = _texts(opened, sizes, quick=options.quick)
    results = [Result(Entry("sestina-on", choice.variant.precision))]
    if options.source is not None:
        float_type = "fp32" if provider == "cpu" else "fp16"
        results += [Result(Entry(peer, float_type)) for peer in ON_DEVICE if peer != "sestina-on"]
    with tempfile.TemporaryDirectory(prefix="sestina-bench-") as folder:
        setting = replace(setting_of(options, results[0].entry, manifest, folder), provider=provider)
        reference = reference_vectors(setting, texts["check"], results[1:], status)
        for result in results:
            if result.runs and (lacking := missing(result.entry.peer)) is not None:
                result.drop("not installed", f"{lacking} is not installed: {PIP}")
        Phases(results, setting, sizes, texts, reference, status).grid([key for key, _, _ in cells])
    if not results[0].runs:
        raise ProviderError(f"{options.bundle} could not be measured on {provider}: {results[0].note}")
    return _document(options.command, describe(usable_cores()), manifest, setting, sizes, cells, results)


Cells = Sequence[tuple[str, int, int]]


def _texts(bundle: Bundle, sizes: Sizes, *, quick: bool) -> tuple[dict[str, list[str]], Cells]:
    """What is encoded, by name; and for every cell of the grid its name, its length and its batch."""
    contract = bundle.manifest.contract
    tokenizer = Tokenizer(bundle.read(TOKENIZER), contract.max_tokens)

    def count(text: str) -> int:
        tokens = tokenizer.tokens(text)
        return len(tokens.ids) + tokens.truncated

    lengths = clipped(_QUICK_LENGTHS if quick else LENGTHS, contract.max_tokens)
    batches = _QUICK_BATCHES if quick else BATCHES
    texts, cells = {"check": passages(sizes.checked)}, []
    for length in lengths:
        try:
            found = of_length(length, batches[-1], count)
        except ValueError as error:
            raise InputError(f"{bundle.path} cannot be measured: {error}") from None
        texts["check"] += found[:1]
        for batch in batches:
            cells.append((f"{length} x {batch}", length, batch))
            texts[f"{length} x {batch}"] = found[:batch]
    return texts, cells


def _document(
    command: str,
    machine: dict[str, Any],
    manifest: Manifest,
    setting: Setting,
    sizes: Sizes,
    cells: Cells,
    results: Sequence[Result],
) -> dict[str, Any]:
    own, *others = (result for result in results if result.runs)
    grid, ratios = [], []
    for key, length, batch in cells:
        measure = f"grid/{key}"
        seconds = {each.entry.name: median(pooled(each.samples[measure])) for each in (own, *others)}
        facts = {
            name: {"p50_ms": 1000 * value, "texts_per_s": batch / value} for name, value in seconds.items()
        }
        grid.append({"cell": key, "length": length, "batch": batch, "contenders": facts})
        ratios += [
            {
                "ours": own.entry.name,
                "other": other.entry.name,
                "measure": measure,
                **asdict(ratio(other.samples[measure], own.samples[measure])),
            }
            for other in others
        ]
    return {
        **head("sestina-bench-grid", command, machine, manifest, setting),
        "provider": setting.provider,
        "settings": {"threads": setting.threads, "rounds": sizes.rounds, "calls": sizes.calls},
        "contenders": [{**contender_facts(result), "samples": result.samples} for result in results],
        "grid": grid,
        "ratios": ratios,
        "slower": [row for row in ratios if row["value"] < 1],
    }

"""One run of the benchmark from its options to its document."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import sestina
from sestina._bench import document as _document
from sestina._bench import plan as _plan
from sestina._bench.analysis import Floors, profiles
from sestina._bench.contender import OURS, Entry, Setting, contender_class, missing
from sestina._bench.corpus import Corpus, clipped, of_length, passages
from sestina._bench.machine import describe
from sestina._bench.measure import Phases, Status
from sestina._bench.process import WorkerError, WorkerProcess, as_json
from sestina._bench.reference import PIP, reference_vectors
from sestina._bench.results import Result, running
from sestina._bundle.bundle import Bundle
from sestina._bundle.manifest import Manifest
from sestina._errors import InputError, OptionError, ProviderError
from sestina._process.threads import usable_cores


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line asked for; see `sestina bench --help`."""

    bundle: str
    source: str | None = None
    against: str | None = None
    precision: str = "all"
    threads: int | None = None
    more_threads: tuple[int, ...] = ()  # with which ours is measured too
    rounds: int | None = None
    quick: bool = False
    profile: bool = False
    command: str = "sestina bench"
    texts: tuple[str, Sequence[str]] | None = None  # the name of a file, and what it holds


def run(options: Options, status: Status) -> dict[str, Any]:
    """Measure.

    Returns: the document, as `sestina bench --json` prints it.

    Raises:
        SestinaError: Where the bundle, an option or the texts cannot be used. What goes wrong with a peer
            is a fact about that peer, and stands in the document.
    """
    sizes = sizes_of(options, _plan.QUICK, _plan.FULL)
    manifest = Bundle(options.bundle).manifest
    precisions = _plan.chosen_precisions(options.precision, manifest)
    peers = _plan.chosen_peers(options.against, options.source)
    machine = describe(usable_cores())
    texts, corpus = _texts(options, sizes, precisions)
    with tempfile.TemporaryDirectory(prefix="sestina-bench-") as folder:
        setting = setting_of(options, Entry(OURS, precisions[0]), manifest, folder)
        results = [Result(entry) for entry in _plan.entries(precisions, peers, options.more_threads)]
        reference = reference_vectors(setting, texts["check"], results, status)
        _prepare(results, setting, status)
        phases = Phases(results, setting, sizes, texts, reference, status)
        phases.latency()
        _demand_ours(results, options)
        floors = Floors(manifest.encoder, [int(key) for key in corpus.uniform], precisions, setting.threads)
        phases.throughput(floors.measure)
        phases.cold_start()
        _demand_ours(results, options)
        ours = [result for result in _ours(results) if result.entry.threads is None]
        profile = profiles(ours, setting, texts["mix"], status) if options.profile else []
    roofline = floors.compare(ours, corpus)
    return _document.build(
        options.command, machine, manifest, setting, sizes, corpus, results, roofline, profile
    )


def setting_of(options: Options, entry: Entry, manifest: Manifest, folder: str) -> Setting:
    """What every contender of a run is given."""
    contract = manifest.contract
    return Setting(
        entry=entry,
        purpose="throughput",
        bundle=os.path.realpath(options.bundle),
        source=options.source and os.path.realpath(options.source),
        folder=folder,
        threads=options.threads or usable_cores(),
        max_tokens=contract.max_tokens,
        pooling=contract.pooling,
        normalize=contract.normalize,
        dimensions=contract.dimensions,
    )


def sizes_of(options: Options, quick: _plan.Sizes, full: _plan.Sizes) -> _plan.Sizes:
    """How much is measured.

    Raises:
        OptionError: On a count below 1.
    """
    threads = (("--threads", value) for value in (options.threads, *options.more_threads))
    for name, value in (*threads, ("--rounds", options.rounds)):
        if value is not None and value < 1:
            raise OptionError(f"{name} is {value}; it must be at least 1")
    sizes = quick if options.quick else full
    return dataclasses.replace(sizes, rounds=options.rounds) if options.rounds else sizes


def _texts(
    options: Options, sizes: _plan.Sizes, precisions: Sequence[str]
) -> tuple[dict[str, list[str]], Corpus]:
    """Everything that will be encoded, and what is known of the length mix."""
    with contextlib.ExitStack() as stack:
        encoders = [
            stack.enter_context(sestina.load(options.bundle, precision=precision, threads=options.threads))
            for precision in precisions
        ]
        if options.source is None:  # then the goldens are the only witness
            for encoder, precision in zip(encoders, precisions, strict=True):
                if not encoder.verify().passed:
                    raise InputError(
                        f"{options.bundle} does not reproduce its goldens in {precision} on this machine: "
                        f"run sestina verify {options.bundle}"
                    )
        origin, mix = options.texts or ("generated", passages(sizes.passages))
        mix = list(mix)
        if not mix:
            raise InputError(f"{origin} has no texts to measure with")
        tokenize = encoders[0].tokenize

        def count(text: str) -> int:
            tokens = tokenize(text)
            return len(tokens.ids) + tokens.truncated

        texts = {"mix": mix}
        for length in clipped(_plan.LENGTHS, encoders[0].max_tokens):
            try:
                texts[str(length)] = of_length(length, max(2, sizes.uniform_tokens // length), count)
            except ValueError as error:
                raise InputError(f"{options.bundle} cannot be measured: {error}") from None
        counted = [len(tokenize(text).ids) for text in mix]
    corpus = Corpus(origin, mix, counted, {key: len(texts[key]) for key in texts if key != "mix"})
    step = max(1, len(mix) // sizes.checked)
    uniform = [text for key in texts if key != "mix" for text in texts[key][:2]]
    texts["check"] = mix[::step][: sizes.checked] + uniform
    return texts, corpus


def _prepare(results: list[Result], setting: Setting, status: Status) -> None:
    """Have every peer that is installed make its files; the others are named with the command to run."""
    for result in list(running(results)):
        lacking = missing(result.entry.peer)
        if lacking is not None:
            result.drop("not installed", f"{lacking} is not installed: {PIP}")
        elif contender_class(result.entry.peer).prepares:
            status(f"preparing {result.entry.name}")
            try:
                with WorkerProcess(setting.threads) as worker:
                    worker.ask("prepare", setting=as_json(dataclasses.replace(setting, entry=result.entry)))
            except WorkerError as error:
                result.drop("failed", f"could not be prepared: {error}")


def _demand_ours(results: list[Result], options: Options) -> None:
    """There is nothing to say where the bundle itself could not be measured."""
    for result in _ours(results):
        if result.state == "wrong vectors":
            raise InputError(
                f"{options.bundle} does not match --source {options.source}: {result.note}; name the "
                "checkpoint that the bundle was exported from"
            )
        if not result.runs:
            raise ProviderError(
                f"{options.bundle} could not be measured in {result.entry.precision}: {result.note}"
            )


def _ours(results: list[Result]) -> Iterator[Result]:
    return (result for result in results if result.entry.peer == OURS)

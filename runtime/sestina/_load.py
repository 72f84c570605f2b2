"""From a path to what a bundle is for: check it, choose a provider and a variant, open its sessions."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Any

from sestina._arguments import one_of, path_text, truth, whole_number
from sestina._bundle.bundle import Bundle
from sestina._bundle.paths import absolute, bundle_path
from sestina._caller import warn_caller
from sestina._errors import BundleIntegrityError, OptionError, OutputError, ProviderWarning, SestinaError
from sestina._familiar import LOADING, with_one_name
from sestina._process.background import BackgroundCall
from sestina._process.fork import this_process
from sestina._process.native import opening
from sestina._process.threads import usable_cores
from sestina._providers.attached_provider import CPU
from sestina._providers.choice import check_precision, choose
from sestina._providers.request import AUTO, ProviderArgument, in_order, read_request, spell
from sestina._quote import in_one_line, quote
from sestina._recipe import ON_FORK, OnFork, Recipe
from sestina._schedule.budget import plan

if TYPE_CHECKING:
    from sestina._encoder import Encoder
    from sestina._report import Report

_PLACE = ("path", "space", "task")


@with_one_name(LOADING)
def load(
    path: str | os.PathLike[str] | None = None,
    *,
    provider: ProviderArgument = "auto",
    precision: str = "auto",
    threads: int | None = None,
    max_memory_mb: int | None = None,
    strict: bool = False,
    cache_dir: str | os.PathLike[str] | None = None,
    on_fork: OnFork = "reload",
) -> Encoder:
    """Open a bundle.

    Every file's size is checked first. The SHA-256 of every file but the graphs of other variants is
    checked before this returns, beside the preparation of the weights; `verify` checks those graphs too.
    On the CPU weights are mapped from their file and shared with whoever else does so: replace a bundle by
    renaming another into its place, and never write into the files of one in use. Nothing is downloaded, and
    nothing is written but what `cache_dir` asks for.

    Providers are tried in order, each with the variants that it runs. One is accepted where enough of the
    graph is placed on it and the bundle's goldens come out as in PyTorch; otherwise the next is tried, and
    `report()` has the reasons. On the CPU no goldens are run: `verify` does that.

    Args:
        path: The bundle's directory; None: the bundle that comes with Sestina, its own encoder of English
            in int8.
        provider: "auto" (an accelerator that is found and has a variant made for it, else the CPU); the
            name of a provider; or a list of names and of (name, options), in order of preference. The
            table in docs/providers.md has the names, `sestina providers` what this machine has.
        precision: "auto" (on the CPU int8 where the bundle has it and the processor is good at it, else
            fp32), or one that the bundle has.
        threads: Threads that compute; None: OMP_NUM_THREADS where that is set, else the physical cores this
            process may use.
        max_memory_mb: Ceiling for working memory, in MiB, besides the weights and the vectors themselves;
            None: what is best for speed. Two things may go beyond it: a text of very many characters without
            a space, which is tokenized whole, and whoever encodes single texts and lists in turn, for which
            onnxruntime keeps its working memory twice.
        strict: Use only what was named, with every node of the graph on it (on CUDA, all but what computes
            shapes). Without this, the CPU takes the nodes that a provider leaves over, and everything where
            no provider that was named passes; a `ProviderWarning` then says why.
        cache_dir: Where providers that compile for minutes may keep what they compiled; None: nowhere. A
            directory for Sestina alone, created where it is missing.
        on_fork: What a forked child does where it uses the encoder, whose threads exist only in the parent.
            "reload": it loads the bundle anew, once, with these same arguments, and `report()` says so;
            "error": it raises a ForkError. A call or stream that a fork has cut in two is an error always.

    Raises:
        BundleError: Where the bundle is missing, foreign, damaged or unreadable (see its subclasses).
        OptionError: On an argument that is not allowed or that this bundle cannot serve, as where it is of
            another task: the message names what loads it.
        ProviderError: Where no variant runs on a provider that was allowed; the message has every reason.
        OutputError: Where `cache_dir` cannot be written.
        ForkError: In a process that was forked while another thread was loading, or in the middle of this.
        ClosedError: Where Python is ending: in another thread than the main one once handlers of `atexit`
            are called, and everywhere after these.
    """
    options = (provider, precision, threads, max_memory_mb, strict, cache_dir, on_fork)
    encoder: Encoder = load_task("embedding", path, *options)
    return encoder


def load_task(
    task: str | None,
    path: str | os.PathLike[str] | None,
    provider: ProviderArgument,
    precision: str,
    threads: int | None,
    max_memory_mb: int | None,
    strict: bool,
    cache_dir: str | os.PathLike[str] | None,
    on_fork: OnFork,
) -> Any:
    """Open a bundle of a task, or None: of whichever it is; see `load`.

    Raises:
        OptionError: Where the bundle is of another task, naming what loads it.
    """
    process = this_process()
    if threads is not None:
        threads = whole_number("threads", threads, 1, 1024, ", or None")
    if max_memory_mb is not None:
        max_memory_mb = whole_number("max_memory_mb", max_memory_mb, 1, 1 << 24, ", or None")
    if cache_dir is not None:
        cache_dir = _cache_dir(cache_dir)
    strict = truth("strict", strict)
    on_fork = one_of("on_fork", on_fork, ON_FORK)  # type: ignore[assignment]
    place = None if path is None else absolute(bundle_path(path))
    named = read_request(provider)
    provider = AUTO if named is None else [asked.provider.name for asked in named]
    precision = check_precision(precision)
    with opening:
        if path is None:
            from sestina._bundle.default import default_bundle

            path = default_bundle()
        bundle = Bundle(path)
    manifest = bundle.manifest
    if task is None:
        task = manifest.task
    elif task not in manifest.tasks:
        with opening:
            from sestina._tasks import other_task

        bundle.close()
        raise other_task(bundle.path, manifest.task, task)
    asked_threads, threads = threads, threads or usable_cores()
    order = in_order(named, manifest.variants, strict=strict)
    accepted, tried = None, tuple[str, ...]()
    if [asked.provider.name for asked in order] == ["cpu"]:
        choice = choose(bundle, "cpu", precision)
    else:
        with opening:
            from sestina._selection.selection import select  # only here: it would cost every start on a CPU

        choice, accepted, tried = select(
            bundle,
            order,
            precision,
            threads=threads,
            strict=strict,
            cache_dir=cache_dir,
            automatic=named is None,
        )
    attachment = accepted.attachment if accepted else CPU
    tolerance = accepted.tolerance if accepted else choice.variant.tolerance
    takes = attachment.provider
    static = choice.variant.shapes == "static"
    budget = plan(manifest, takes.in_flight or threads, max_memory_mb, takes.batch_tokens, static=static)
    # Hashing keeps a core busy without Python's lock while what is needed for the rest is imported, and
    # beyond. Nothing made from a file is handed out before its checksum has been found right.
    checked = BackgroundCall(partial(bundle.check, choice.variant))
    try:
        with opening:
            from sestina._opening import Encoder, Loaded, open_engine

            engine = open_engine(process, bundle, choice, accepted, threads, budget, task)
    except SestinaError:
        checked.result()  # an altered file is the cause, not what became of it
        raise
    checked.result()
    if named is not None and choice.provider not in [asked.provider.name for asked in named]:
        warn_caller(ProviderWarning(f"{spell(provider)} was asked for, the CPU is used: {'; '.join(tried)}"))

    def describe(reloaded: bool) -> Report:
        with opening:
            from sestina._report import Report  # as everything that not every start needs

        session = engine.sessions().any
        placement = session.placement()
        return Report(
            bundle=place or absolute(bundle.path),
            name=manifest.name,
            space=manifest.space,
            provider_asked=spell(provider),
            provider=choice.provider,
            device=attachment.device,
            precision_asked=precision,
            precision=choice.variant.precision,
            half_precision=tolerance != choice.variant.tolerance,
            variant=choice.variant.entry.file,
            threads=threads,
            workers=budget.workers,
            batch_tokens=budget.batch_tokens,
            placement=placement.nodes,
            share=placement.share,
            partitions=placement.partitions,
            fell_back=placement.fell_back,
            probe_error=accepted.probe.error if accepted else None,
            first_run_ms=accepted.probe.first_run_ms if accepted else None,
            reason=choice.reason,
            reloaded_after_fork=reloaded,
            passed_over=(*choice.passed_over, *tried),
            onnxruntime=session.version,
        )

    kept = AUTO if named is None else tuple((asked.provider.name, dict(asked.options)) for asked in named)
    recipe = Recipe(
        place, manifest.space, kept, precision, asked_threads, max_memory_mb, strict, cache_dir, on_fork, task
    )
    loaded = Loaded(process, bundle, choice, engine, tolerance, describe, manifest.contract)
    if task == "embedding":
        return Encoder(loaded, recipe, load_again)
    with opening:
        from sestina._tasks import contract_of, face_of

    return face_of(task)(loaded._replace(contract=contract_of(manifest, task)), recipe, load_again)


def load_again(recipe: Recipe) -> Any:
    """Load what an encoder was loaded from, in another process or once more in this one.

    Raises:
        BundleIntegrityError: Where another model lies there by now: its vectors would not be comparable.
        SestinaError: As `load`.
    """
    path, space = recipe.path, recipe.space
    given = {name: value for name, value in recipe._asdict().items() if name not in _PLACE}
    encoder = load_task(recipe.task, path, **given)
    if encoder.space != space:
        encoder.close()
        where = "the bundle that comes with this sestina" if path is None else in_one_line(path)
        raise BundleIntegrityError(
            f"{where} is of the space {encoder.space}, and the encoder was of {space}: bring the same bundle"
        )
    return encoder


def _cache_dir(given: str | os.PathLike[str]) -> str:
    text = "" if isinstance(given, bytes) else path_text("cache_dir", given, "a directory")
    if not text:
        raise OptionError(f"cache_dir is {quote(given)}; it must be the path of a directory, or None")
    if "\0" in text:
        raise OutputError(f"cache_dir {quote(text)} cannot be written: it has a null character")
    return absolute(text)

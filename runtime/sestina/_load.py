"""From a path to an `Encoder`: check the bundle, choose a variant, open its session."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from sestina._budget import plan
from sestina._bundle import Bundle
from sestina._choice import choose
from sestina._default import default_bundle
from sestina._encoder import Encoder
from sestina._engine import Engine
from sestina._errors import OptionError, SestinaError
from sestina._manifest import TOKENIZER
from sestina._report import Report
from sestina._session import Session
from sestina._sessions import Sessions
from sestina._text import Tokenizer
from sestina._threads import usable_cores


def load(
    path: str | os.PathLike[str] | None = None,
    *,
    provider: str = "auto",
    precision: str = "auto",
    threads: int | None = None,
    max_memory_mb: int | None = None,
) -> Encoder:
    """Open a bundle.

    Every file's size is checked first. The SHA-256 of every file but the graphs of other variants is
    checked before this returns, beside the preparation of the weights; `verify` checks those graphs too.
    Nothing is downloaded or written.

    Args:
        path: The bundle's directory; None: the bundle that comes with Sestina, its own encoder of English
            in int8.
        provider: "auto" or "cpu".
        precision: "auto" (int8 where the bundle has it and the processor is good at it, else fp32), or one
            that the bundle has.
        threads: Threads that compute; None: the physical cores this process may use.
        max_memory_mb: Ceiling for working memory, in MiB, besides the weights and the vectors themselves;
            None: what is best for speed.

    Raises:
        BundleError: Where the bundle is missing, foreign, damaged or unreadable (see its subclasses).
        OptionError: On an option that is not allowed or that this bundle cannot serve.
        ProviderError: Where no variant runs on the provider.
    """
    for name, value, most in (("threads", threads, 1024), ("max_memory_mb", max_memory_mb, 1 << 24)):
        whole = isinstance(value, int) and not isinstance(value, bool)
        if value is not None and (not whole or not 1 <= value <= most):
            raise OptionError(f"{name} is {value!r:.40}; it must be a whole number from 1 to {most}, or None")
    bundle = Bundle(default_bundle() if path is None else path)
    manifest = bundle.manifest
    choice = choose(bundle, provider, precision)
    threads = threads or usable_cores()
    budget = plan(manifest, threads, max_memory_mb)
    # Three things that each keep a core busy without Python's lock: hashing the files, parsing the
    # tokenizer, preparing the weights. Nothing made from a file is handed out before its checksum has been
    # found right.
    with ThreadPoolExecutor(2, thread_name_prefix="sestina-load") as side:
        checked = side.submit(bundle.check, choice.variant)
        tokenizing = side.submit(lambda: Tokenizer(bundle.read(TOKENIZER), manifest.contract.max_tokens))
        try:
            sessions = Sessions(partial(Session, bundle, choice), threads)
            tokenizer = tokenizing.result()
        except SestinaError:
            checked.result()  # an altered file is the cause, not what became of it
            raise
        checked.result()
    engine = Engine(tokenizer, sessions, budget, manifest.contract.dimensions)

    def describe() -> Report:
        session = engine.sessions().any
        return Report(
            bundle=str(bundle.path),
            name=manifest.name,
            space=manifest.space,
            provider_asked=provider,
            provider=choice.provider,
            precision_asked=precision,
            precision=choice.variant.precision,
            variant=choice.variant.entry.file,
            threads=threads,
            workers=budget.workers,
            batch_tokens=budget.batch_tokens,
            placement=session.placement(),
            reason=choice.reason,
            passed_over=choice.passed_over,
            onnxruntime=session.version,
        )

    return Encoder(bundle, choice, engine, describe)

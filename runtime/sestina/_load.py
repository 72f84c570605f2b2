"""From a path to an `Encoder`: check the bundle, choose a variant, open its session."""

from __future__ import annotations

import os

from sestina._bundle import Bundle
from sestina._encoder import Encoder
from sestina._engine import Engine
from sestina._errors import OptionError
from sestina._manifest import TOKENIZER
from sestina._report import Report
from sestina._session import Session, choose
from sestina._text import Tokenizer
from sestina._threads import usable_cores

_DEFAULT_BATCH_TOKENS = 2048
_ACTIVATIONS_PER_TOKEN = 16  # float32 buffers of width max(4 * d_model, d_ff) alive at once, at most
_MINIMUM_MEMORY_MB = 16


def load(
    path: str | os.PathLike[str],
    *,
    provider: str = "auto",
    precision: str = "auto",
    threads: int | None = None,
    max_memory_mb: int | None = None,
) -> Encoder:
    """Open a bundle.

    Every file of the bundle is checked against its size and SHA-256 first. Nothing is downloaded, written
    or executed.

    Args:
        path: The bundle's directory.
        provider: "auto" or "cpu".
        precision: "auto" or one that the bundle has, such as "fp32".
        threads: Threads that compute; None: the physical cores this process may use.
        max_memory_mb: Ceiling for the working memory of one batch, in MiB, besides the weights; None: a
            batch size that is good for speed.

    Raises:
        BundleError: Where the bundle is missing, foreign, damaged or unreadable (see its subclasses).
        OptionError: On an option that is not allowed or that this bundle cannot serve.
        ProviderError: Where no variant runs on the provider.
    """
    for name, value, least in (("threads", threads, 1), ("max_memory_mb", max_memory_mb, _MINIMUM_MEMORY_MB)):
        if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < least):
            raise OptionError(f"{name} is {value!r}; it must be a whole number of at least {least}, or None")
    bundle = Bundle(path)
    manifest = bundle.manifest
    choice = choose(bundle, provider, precision)
    threads = threads or usable_cores()
    session = Session(bundle, choice, threads)
    tokenizer = Tokenizer(bundle.read(TOKENIZER), manifest.contract.max_tokens)
    engine = Engine(tokenizer, session, _batch_tokens(bundle, max_memory_mb))
    report = Report(
        bundle=str(bundle.path),
        name=manifest.name,
        space=manifest.space,
        provider_asked=provider,
        provider=choice.provider,
        precision_asked=precision,
        precision=choice.variant.precision,
        variant=choice.variant.entry.file,
        threads=threads,
        batch_tokens=engine.batch_tokens,
        placement=session.placement(),
        passed_over=choice.passed_over,
        onnxruntime=session.version(),
    )
    return Encoder(bundle, choice, engine, report)


def _batch_tokens(bundle: Bundle, max_memory_mb: int | None) -> int:
    if max_memory_mb is None:
        return _DEFAULT_BATCH_TOKENS
    encoder = bundle.manifest.encoder
    width = max(4 * int(encoder["d_model"]), int(encoder["d_ff"]))
    per_token = 4 * _ACTIVATIONS_PER_TOKEN * width
    return max(1, (max_memory_mb << 20) // per_token)

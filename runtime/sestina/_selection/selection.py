"""Providers tried one after the other, each held to the goldens; what fails leaves its reason behind."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

from sestina._bundle.bundle import Bundle
from sestina._bundle.goldens import read_goldens
from sestina._bundle.manifest import Variant
from sestina._errors import OptionError, ProviderError
from sestina._providers.attached_provider import AttachedProvider, attach
from sestina._providers.choice import Choice, choose
from sestina._providers.request import ProviderRequest
from sestina._selection.candidate_session import CandidateSession, Terms
from sestina._selection.contexts import Contexts
from sestina._selection.probe import Probe
from sestina._session.buckets import BucketSession
from sestina._session.session import Run


@dataclass(frozen=True, slots=True)
class Accepted:
    """A variant that runs on a provider, as its goldens have shown.

    Attributes:
        choice: The variant, the provider, why, and why not the provider's other variants.
        attachment: The provider, as it was found here.
        run: The open session or sessions.
        probe: How the first session did.
        tolerance: The largest difference from a golden vector that it was held to.
    """

    choice: Choice
    attachment: AttachedProvider
    run: Run
    probe: Probe
    tolerance: float


def attempt(
    bundle: Bundle, asked: ProviderRequest, precision: str, terms: Callable[[], Terms], *, automatic: bool
) -> tuple[Accepted | None, tuple[str, ...]]:
    """Try one provider with each variant that it runs, best first.

    Args:
        bundle: Its checksums are verified for each variant before that is opened.
        asked: The provider and its options.
        precision: "auto", or the only one allowed.
        terms: Gives what candidates have in common; asked only when there is something to open.
        automatic: Whether nobody named the provider; it then runs nothing that was made for the CPU, and
            only on the devices that are worth it.

    Returns: what was accepted, if anything, and why each other variant was not.

    Raises:
        BundleError: Where a file is not what the manifest states.
        OutputError: Where the cache directory cannot be written.
    """
    name = asked.provider.name
    try:
        choice = choose(bundle, name, precision, automatic=automatic)
        attachment = attach(asked)
        if automatic and attachment.kind not in asked.provider.auto:
            raise ProviderError(
                f"its device here is {attachment.device}, which auto leaves to the CPU's own variants; ask "
                f"for provider='{name}' to use it"
            )
    except (OptionError, ProviderError) as error:
        return None, (f"{name}: {error}",)
    reasons: list[str] = []
    for variant in choice.variants:
        bundle.check(variant)
        candidate = CandidateSession(bundle, variant, attachment, terms())
        try:
            run = _open(candidate, variant)
        except ProviderError as error:
            reasons.append(f"{name} with {variant.entry.file}: {error}")
            continue
        assert candidate.probe is not None  # noqa: S101  every session that opens was probed
        accepted = Accepted(choice.of(variant), attachment, run, candidate.probe, candidate.tolerance)
        return accepted, tuple(reasons)
    return None, tuple(reasons)


def select(
    bundle: Bundle,
    order: Sequence[ProviderRequest],
    precision: str,
    *,
    threads: int,
    strict: bool,
    cache_dir: str | os.PathLike[str] | None,
    automatic: bool,
) -> tuple[Choice, Accepted | None, tuple[str, ...]]:
    """The first provider that passes, of those in `order`; the CPU passes without being tried.

    Returns: what to run; on what, None where it is the CPU; and why everything before it was not taken.

    Raises:
        ProviderError: Where none passes; it has every reason.
        BundleError, OutputError: As `attempt`.
    """

    @cache
    def terms() -> Terms:
        contexts = None if cache_dir is None else Contexts(cache_dir)
        return Terms(threads, strict, tuple(read_goldens(bundle)), contexts)

    reasons: list[str] = []
    for asked in order:
        if asked.provider.name == "cpu":
            try:
                return choose(bundle, "cpu", precision), None, tuple(reasons)
            except (OptionError, ProviderError) as error:
                reasons.append(f"cpu: {error}")
        else:
            accepted, why = attempt(bundle, asked, precision, terms, automatic=automatic)
            reasons += why
            if accepted is not None:
                return accepted.choice, accepted, tuple(reasons)
    raise ProviderError(f"no provider that was allowed runs {bundle.shown}: {'; '.join(reasons)}")


def _open(candidate: CandidateSession, variant: Variant) -> Run:
    if variant.shapes == "static":
        return BucketSession(variant, candidate.open)
    return candidate.open(None)

"""Which variants of a bundle a provider runs, in which order, and why not the others."""

from __future__ import annotations

import platform
from typing import NamedTuple, get_args

from sestina._arguments import one_of
from sestina._bundle.bundle import Bundle
from sestina._bundle.manifest import Precision, Variant
from sestina._errors import OptionError, ProviderError
from sestina._handlers import let_through
from sestina._providers.table import PROVIDERS


class Choice(NamedTuple):
    """The variants of a bundle that a provider can run, best first.

    Attributes:
        variants: At least one.
        provider: Which.
        reason: Why the first.
        passed_over: Why not, for every variant that is not among them, and for those after the first.
    """

    variants: tuple[Variant, ...]
    provider: str
    reason: str
    passed_over: tuple[str, ...]

    @property
    def variant(self) -> Variant:
        """The best."""
        return self.variants[0]

    def of(self, variant: Variant) -> Choice:
        """With this one of the variants as the best, those before it having been tried."""
        if variant == self.variant:
            return self
        passed_over = tuple(why for why in self.passed_over if not why.startswith(f"{variant.entry.file}: "))
        at = self.variants.index(variant)
        return self._replace(
            variants=self.variants[at:],
            reason=f"the first that {self.provider} passed with",
            passed_over=passed_over,
        )


def choose(bundle: Bundle, provider: str, precision: str, *, automatic: bool = False) -> Choice:
    """The variants of a bundle for one provider.

    On the CPU with precision "auto" the best is int8 where the bundle has it and the processor multiplies
    bytes quickly, else fp32; on other providers what their entry in the table puts first.

    Args:
        bundle: The bundle.
        provider: A provider's name.
        precision: "auto", or the only one allowed.
        automatic: Whether nobody named the provider: then none but the CPU runs what was made for the CPU.

    Raises:
        OptionError: Where the bundle has variants for the provider, but none of the precision.
        ProviderError: Where the bundle has no variant for the provider.
    """
    takes = PROVIDERS[provider]
    ranks = {
        (wanted.target, kind): (at, wanted.precisions.index(kind))
        for at, wanted in enumerate(takes.wanted)
        for kind in wanted.precisions
        if not automatic or provider == "cpu" or wanted.target != "cpu"
    }
    targets = {target for target, _ in ranks}
    passed_over, fitting = [], []
    for variant in bundle.manifest.variants:
        file = variant.entry.file
        if variant.target not in targets:
            passed_over.append(f"{file}: made for {variant.target}, not for {provider}")
        elif variant.shapes not in takes.shapes:
            passed_over.append(f"{file}: has {variant.shapes} shapes, which {provider} does not take")
        elif (variant.target, variant.precision) not in ranks:
            passed_over.append(f"{file}: is {variant.precision}, which {provider} does not take")
        elif precision not in ("auto", variant.precision):
            passed_over.append(f"{file}: is {variant.precision}, {precision} was asked for")
        else:
            fitting.append(variant)
    if not fitting:
        have = ", ".join(_kind(variant) for variant in bundle.manifest.variants)
        error = ProviderError if precision == "auto" else OptionError
        wanted = provider if precision == "auto" else f"{provider}/{precision}"
        raise error(f"{bundle.shown} has no variant for {wanted}; it has {have}: export one, or ask for auto")
    slow_int8 = provider == "cpu" and not has_fast_int8()

    def rank(variant: Variant) -> tuple[int, bool, int]:
        target, kind = ranks[variant.target, variant.precision]
        return target, slow_int8 and variant.precision == "int8", kind

    fitting.sort(key=rank)
    best = fitting[0]
    reason = _reason(fitting, provider)
    passed_over += [f"{other.entry.file}: {best.entry.file} was preferred: {reason}" for other in fitting[1:]]
    return Choice(tuple(fitting), provider, reason, tuple(passed_over))


def check_precision(precision: object) -> str:
    """A precision that may be asked for: "auto", or one that a bundle may have.

    Raises:
        OptionError: Where it is anything else.
    """
    return one_of("precision", precision, ("auto", *get_args(Precision)))


def _reason(fitting: list[Variant], provider: str) -> str:
    best = fitting[0]
    if len(fitting) == 1:
        return "the only one that fits"
    if sum(variant.target == best.target for variant in fitting) == 1:
        return f"the only one made for {best.target}"
    if provider != "cpu" or best.target != "cpu":
        return f"what {provider} runs best"
    if has_fast_int8():
        gated = " and passed its quality gate" if _has_gate(best) else ""
        return f"{best.precision} is the fastest here{gated}"
    return f"this processor has no fast int8 arithmetic, so {best.precision} comes first"


_GATED = ("cosine", "ranks", "labels", "spans")  # by task: what a quantised variant is held to


def _kind(variant: Variant) -> str:
    kind = f"{variant.target}/{variant.precision}"
    return kind if variant.shapes == "dynamic" else f"{kind} of fixed shapes"


def _has_gate(variant: Variant) -> bool:
    """Whether the manifest states a gate that the vectors were held to at export."""
    measured = [variant.parity.get(name) for name in _GATED]
    return any(
        isinstance(each, dict) and isinstance(each.get("gate"), dict) and each["gate"] for each in measured
    )


def has_fast_int8() -> bool:
    """Whether this processor multiplies bytes faster than floats: 64-bit Arm, or x86-64 with AVX2.

    Where the operating system does not tell, x86-64 counts as having AVX2, as nearly all since 2013 do.
    """
    machine = platform.machine().lower()
    if machine in ("arm64", "aarch64"):
        return True
    if machine not in ("x86_64", "amd64"):
        return False
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as stream:
            return "avx2" in stream.read().split()
    except OSError as error:
        let_through(error)
        return True

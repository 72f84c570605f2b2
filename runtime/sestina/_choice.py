"""Which variant of a bundle to run, and why not the others."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from sestina._bundle import Bundle
from sestina._errors import OptionError, ProviderError
from sestina._manifest import Precision, Variant


@dataclass(frozen=True, slots=True)
class Provider:
    """An execution provider: what onnxruntime calls it, and the target whose variants it runs."""

    name: str
    target: str


PROVIDERS = {"cpu": Provider("CPUExecutionProvider", "cpu")}


@dataclass(frozen=True, slots=True)
class Choice:
    """A variant and a provider for it, why this one, and why every other was passed over."""

    variant: Variant
    provider: str
    reason: str
    passed_over: tuple[str, ...]


def choose(bundle: Bundle, provider: str, precision: str) -> Choice:
    """The best variant of a bundle for what was asked.

    With precision "auto" that is int8 where the bundle has it and the processor multiplies bytes
    quickly, else fp32.

    Raises:
        OptionError: On an unknown provider or precision, or a precision that the bundle does not have.
        ProviderError: Where the bundle has no variant for the provider.
    """
    if provider not in ("auto", *PROVIDERS):
        raise OptionError(f"provider is {provider!r}; it must be one of auto, {', '.join(PROVIDERS)}")
    if precision not in ("auto", *get_args(Precision)):
        raise OptionError(
            f"precision is {precision!r}; it must be one of auto, {', '.join(get_args(Precision))}"
        )
    used = "cpu" if provider == "auto" else provider
    target = PROVIDERS[used].target
    passed_over, fitting = [], []
    for variant in bundle.manifest.variants:
        if variant.target != target:
            passed_over.append(f"{variant.entry.file}: made for {variant.target}, not for {target}")
        elif variant.shapes != "dynamic":
            passed_over.append(f"{variant.entry.file}: has fixed shapes, which this version does not run")
        elif precision not in ("auto", variant.precision):
            passed_over.append(f"{variant.entry.file}: is {variant.precision}, {precision} was asked for")
        else:
            fitting.append(variant)
    if not fitting:
        have = ", ".join(_kind(variant) for variant in bundle.manifest.variants)
        error = ProviderError if precision == "auto" else OptionError
        wanted = target if precision == "auto" else f"{target}/{precision}"
        raise error(f"{bundle.path} has no variant for {wanted}; it has {have}: export one, or ask for auto")
    order = ("int8", "fp32") if has_fast_int8() else ("fp32", "int8")
    fitting.sort(key=lambda variant: order.index(variant.precision) if variant.precision in order else 9)
    best = fitting[0]
    if len(fitting) == 1:
        reason = "the only one that fits"
    elif has_fast_int8():
        gated = " and passed its quality gate" if _has_gate(best) else ""
        reason = f"{best.precision} is the fastest here{gated}"
    else:
        reason = f"this processor has no fast int8 arithmetic, so {best.precision} comes first"
    passed_over += [f"{other.entry.file}: {best.entry.file} was preferred: {reason}" for other in fitting[1:]]
    return Choice(best, used, reason, tuple(passed_over))


def _kind(variant: Variant) -> str:
    kind = f"{variant.target}/{variant.precision}"
    return kind if variant.shapes == "dynamic" else f"{kind} of fixed shapes"


def _has_gate(variant: Variant) -> bool:
    """Whether the manifest states a gate that the vectors were held to at export."""
    cosine = variant.parity.get("cosine")
    return isinstance(cosine, dict) and isinstance(cosine.get("gate"), dict) and bool(cosine["gate"])


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
        return "avx2" in Path("/proc/cpuinfo").read_text(errors="replace").split()
    except OSError:
        return True

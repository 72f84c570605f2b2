"""What an encoder says of itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Report:
    """What was asked for, what is used, and why.

    Attributes:
        bundle: Path of the bundle, absolute.
        name: Name of the bundle.
        space: Fingerprint of its embedding space.
        provider_asked, provider: As given to `load` (names in order), and as used.
        device: What it computes on.
        precision_asked, precision: As given to `load`, and as used.
        half_precision: Whether the provider computes that fp32 in float16 or bfloat16, as the goldens have
            shown: they are within the tolerance that the variant states for float16 alone.
        variant: The graph file in use.
        threads: Threads that compute.
        workers: Batches that run side by side.
        batch_tokens: Tokens that one batch holds at most.
        placement: Provider (onnxruntime's name) -> operator -> number of nodes.
        share: Share of the nodes that the provider runs, from 0 to 1.
        partitions: Subgraphs that it runs as one; the CPU and CUDA, which run node by node, have one for
            each node.
        fell_back: Operators that run on the CPU instead -> number of nodes.
        probe_error: Largest absolute difference from PyTorch over the goldens that were run when the bundle
            was loaded; None on the CPU, where none are (`verify` runs all of them).
        first_run_ms: Milliseconds of the first of those runs; None likewise.
        reason: Why this variant.
        reloaded_after_fork: Whether this process is a forked child that has loaded the bundle anew.
        passed_over: The other variants and providers, each with why not.
        onnxruntime: Its version.
    """

    bundle: str
    name: str
    space: str
    provider_asked: str
    provider: str
    device: str
    precision_asked: str
    precision: str
    half_precision: bool
    variant: str
    threads: int
    workers: int
    batch_tokens: int
    placement: Mapping[str, Mapping[str, int]]
    share: float
    partitions: int
    fell_back: Mapping[str, int]
    probe_error: float | None
    first_run_ms: float | None
    reason: str
    reloaded_after_fork: bool
    passed_over: tuple[str, ...]
    onnxruntime: str

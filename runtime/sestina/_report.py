"""What an encoder says of itself."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Report:
    """What was asked for, what is used, and why.

    Attributes:
        bundle: Path of the bundle.
        name: Name of the bundle.
        space: Fingerprint of its embedding space.
        provider_asked, provider: As given to `load`, and as used.
        precision_asked, precision: As given to `load`, and as used.
        variant: The graph file in use.
        threads: Threads that compute.
        workers: Batches that run side by side.
        batch_tokens: Tokens that one batch holds at most.
        placement: Provider (onnxruntime's name) -> operator -> number of nodes.
        reason: Why this variant.
        passed_over: The other variants, each with why not.
        onnxruntime: Its version.
    """

    bundle: str
    name: str
    space: str
    provider_asked: str
    provider: str
    precision_asked: str
    precision: str
    variant: str
    threads: int
    workers: int
    batch_tokens: int
    placement: dict[str, dict[str, int]]
    reason: str
    passed_over: tuple[str, ...]
    onnxruntime: str

"""A session held to the bundle's goldens before anyone gets it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sestina._bundle.goldens import Golden, distance

if TYPE_CHECKING:
    from sestina._arrays import Ids, Vectors

_PROBES = 3


@dataclass(frozen=True, slots=True)
class Probe:
    """How a session did.

    Attributes:
        error: Largest absolute difference from PyTorch's vectors; NaN where one is not finite.
        first_run_ms: Milliseconds of the first run, in which a provider may still compile.
    """

    error: float
    first_run_ms: float


def pick(goldens: Sequence[Golden], length: int | None) -> list[Golden]:
    """Goldens of different lengths: the shortest, one between, and the longest.

    Args:
        goldens: All of the bundle.
        length: What they must fit into, where the graph has static shapes: all shorter ones are padded.
    """
    by_length = {
        len(golden.ids): golden
        for golden in goldens
        if golden.ids and (length is None or len(golden.ids) <= length)
    }
    lengths = sorted(by_length)
    if len(lengths) > _PROBES:
        lengths = [lengths[0], lengths[len(lengths) // 2], lengths[-1]]
    return [by_length[each] for each in lengths]


def probe(run: Callable[[Ids, int], Vectors], goldens: Sequence[Golden], *, batches: bool) -> Probe:
    """Run goldens and compare.

    Args:
        run: (B, S) or (B, S, 2) int64 and the first token that is pooled -> (B, d) float32.
        goldens: At least one.
        batches: Whether all but the first are run twice side by side, as the rows of one batch.
    """
    worst, first_run_ms = 0.0, None
    for golden in goldens:
        rows = 2 if batches and first_run_ms is not None else 1
        begin = time.perf_counter()
        vectors = run(np.array([golden.tokens] * rows, dtype=np.int64), golden.start)
        if first_run_ms is None:
            first_run_ms = 1000 * (time.perf_counter() - begin)
        error = distance(vectors, golden)
        worst = error if error > worst or np.isnan(error) else worst
        if np.isnan(worst):
            break
    return Probe(worst, first_run_ms or 0.0)

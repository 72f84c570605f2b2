"""Why ours is as fast as it is: its share of the roofline, and its time per operator."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from sestina._bench.contender import Setting
from sestina._bench.corpus import Corpus
from sestina._bench.measure import Status
from sestina._bench.process import WorkerError, WorkerProcess, as_json
from sestina._bench.results import Result
from sestina._bench.statistics import median, pooled, ratio
from sestina._errors import ProviderError

_LEAST_TOKENS = 64  # shorter texts are no longer a matter of matrix products
_SECONDS = 0.06  # for each shape in each round
_PROFILED = 200  # passages


class Floors:
    """The roofline, measured once in each round of the corpora of one length.

    Args:
        encoder: The manifest's description of the encoder.
        lengths: Of the texts; those below 64 tokens are passed over.
        precisions: Of ours.
        threads: As for all contenders.
    """

    def __init__(
        self, encoder: Mapping[str, Any], lengths: Sequence[int], precisions: Sequence[str], threads: int
    ) -> None:
        self._shape = {key: int(encoder[key]) for key in ("n_layers", "d_model", "n_heads", "d_ff")}
        self._keys = [
            (precision, length) for precision in precisions for length in lengths if length >= _LEAST_TOKENS
        ]
        self._threads = threads
        self._measured: dict[tuple[str, int], list[dict[str, Any]]] = {key: [] for key in self._keys}

    def measure(self) -> None:
        """One round, in a process of its own. numpy, if it must stand in, computes on one thread there.

        Raises:
            ProviderError: Where the products cannot be run.
        """
        with WorkerProcess(1) as worker:
            for precision, length in self._keys:
                try:
                    answer = worker.ask(
                        "roofline",
                        encoder=self._shape,
                        tokens=length,
                        precision=precision,
                        threads=self._threads,
                        seconds=_SECONDS,
                    )
                except WorkerError as error:
                    raise ProviderError(f"the roofline could not be measured: {error}") from None
                self._measured[precision, length].append(answer)

    def compare(self, ours: Sequence[Result], corpus: Corpus) -> list[dict[str, Any]]:
        """What share of each encoder's time its matrix products alone would have taken."""
        rows = []
        for result in ours:
            for precision, length in self._keys:
                if precision != result.entry.precision:
                    continue
                texts = corpus.uniform[str(length)]
                rounds = result.samples[f"uniform/{length}"]
                encoder = [[seconds / texts for seconds in one] for one in rounds]
                measured = self._measured[precision, length]
                gemm = [[answer["seconds"]] for answer in measured]
                share = ratio(gemm, encoder)
                rows.append(
                    {
                        "contender": result.entry.name,
                        "tokens": length,
                        "gemm_ms": 1000 * median(pooled(gemm)),
                        "encoder_ms": 1000 * median(pooled(encoder)),
                        "share": share.value,
                        "low": share.low,
                        "high": share.high,
                        "gemm_gflop_per_s": median([answer["gflop_per_s"] for answer in measured]),
                        "kernel": measured[0]["kernel"],
                    }
                )
        return rows


def profiles(
    ours: Sequence[Result], setting: Setting, texts: list[str], status: Status
) -> list[dict[str, Any]]:
    """Time per operator of each of our entries, over the first passages of the mix.

    Raises:
        ProviderError: Where the profiler gives nothing.
    """
    some = texts[:_PROFILED]
    parts = []
    for result in ours:
        status(f"profiling {result.entry.name}")
        own = dataclasses.replace(setting, entry=result.entry)
        try:
            with WorkerProcess(setting.threads) as worker:
                worker.ask("give", key="mix", texts=some)
                answer = worker.ask("profile", setting=as_json(own), key="mix")
        except WorkerError as error:
            raise ProviderError(f"{result.entry.name} could not be profiled: {error}") from None
        parts.append({"contender": result.entry.name, "passages": len(some), **answer})
    return parts

"""Windows of texts through tokenizer and workers: the next is tokenized while the last one is encoded."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sestina._batching import exact_length_batches

Vectors = npt.NDArray[np.float32]
Ids = Sequence[Sequence[int]]
Run = Callable[[npt.NDArray[np.int64]], Vectors]

_WINDOW = 4096  # texts that are tokenized, sorted and encoded together
_FIRST_WINDOW = 256  # smaller, so that workers and readers need not wait; each next is four times as large
_WINDOW_CHARACTERS = 4 << 20  # or fewer, where texts are long
_IN_FLIGHT = 2  # windows: one is being encoded, one is being tokenized or waits


def windows(texts: Iterable[str]) -> Iterator[tuple[int, list[str]]]:
    """Consecutive runs of texts, bounded in number and in characters, each with its first position."""
    begin, limit = 0, _FIRST_WINDOW
    window: list[str] = []
    characters = 0
    for text in texts:
        window.append(text)
        characters += len(text) if isinstance(text, str) else 0
        if len(window) == limit or characters >= _WINDOW_CHARACTERS:
            yield begin, window
            begin, window, characters = begin + len(window), [], 0
            limit = min(4 * limit, _WINDOW)
    if window:
        yield begin, window


@dataclass(slots=True)
class Job:
    """The batches of one window, on their way to the rows of `vectors`.

    Attributes:
        vectors: (n, width) float32 of the different texts; rows without tokens stay zero.
        batches: One future a batch, which gives the number of texts it held.
        rows: For each text of the window, its row in `vectors`.
    """

    vectors: Vectors
    batches: list[Future[int]]
    rows: Sequence[int]

    def result(self, on_progress: Callable[[int], object]) -> Vectors:
        """Wait for all batches; the first exception of any is raised as it is.

        Returns: (n, width) float32, a row for each text of the window.
        """
        left = len(self.rows)
        for batch in self.batches:
            done = batch.result()
            left -= done
            on_progress(done)
        on_progress(left)  # texts without tokens, and those seen before
        return self.vectors if len(self.rows) == len(self.vectors) else self.vectors[self.rows]

    def abandon(self) -> None:
        """Start no further batch, and wait for those that run: a few dozen milliseconds."""
        for batch in self.batches:
            batch.cancel()
        for batch in self.batches:
            with suppress(BaseException):
                batch.result()


def submit(
    pool: ThreadPoolExecutor, run: Run, ids: Ids, width: int, batch_tokens: int, rows: Sequence[int]
) -> Job:
    """Hand the batches of one window to the workers; see `Job` for the rows."""
    vectors = np.zeros((len(ids), width), dtype=np.float32)

    def encode(positions: list[int], batch: npt.NDArray[np.int64]) -> int:
        vectors[positions] = run(batch)
        return len(positions)

    batches = exact_length_batches(ids, batch_tokens)
    return Job(vectors, [pool.submit(encode, positions, batch) for positions, batch in batches], rows)


def flow(jobs: Iterable[Job], on_progress: Callable[[int], object]) -> Iterator[Vectors]:
    """The vectors of each job in order, with `_IN_FLIGHT` jobs begun at a time.

    Whatever ends this early (an exception in a worker, Ctrl-C, a reader that stops) abandons what is in
    flight and leaves the workers free.
    """
    begun: deque[Job] = deque()
    try:
        for job in jobs:
            begun.append(job)
            if len(begun) == _IN_FLIGHT:
                yield begun[0].result(on_progress)
                begun.popleft()
        while begun:
            yield begun[0].result(on_progress)
            begun.popleft()
    finally:
        for job in begun:
            job.abandon()

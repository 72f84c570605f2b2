"""Windows of texts through tokenizer and workers: the next is tokenized while the last one is encoded."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from sestina._batching import exact_length_batches
from sestina._errors import ClosedError

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor
    from queue import SimpleQueue

    from sestina._arrays import Ids, Vectors
    from sestina._batching import Batch

    Run = Callable[[Ids], Vectors]

_WINDOW = 4096  # different texts that are tokenized, sorted and encoded together
_FIRST_WINDOW = 256  # smaller, so that workers and readers need not wait; each next is four times as large
_REPEATS = 4  # a window holds at most so many times its limit in texts that have occurred in it before
_IN_FLIGHT = 2  # windows: one is being encoded, one is being tokenized or waits


def windows(
    texts: Iterable[str], characters: int, different_texts: int | None = None
) -> Iterator[tuple[int, list[str]]]:
    """Consecutive runs of texts, bounded in number and in characters, each with its first position.

    Args:
        texts: Anything; what is not a str is passed on for others to refuse.
        characters: Of the different texts of a window; a longer text is a window by itself.
        different_texts: Of a window, at most; None: as many as are best for speed.
    """
    most = min(_WINDOW, different_texts or _WINDOW)
    begin, limit = 0, min(_FIRST_WINDOW, most)
    window: list[str] = []
    different: set[str] = set()
    size = 0
    for text in texts:
        window.append(text)
        if isinstance(text, str) and text not in different:
            different.add(text)
            size += len(text)
        if len(different) == limit or len(window) == _REPEATS * limit or size >= characters:
            yield begin, window
            begin, window, different, size = begin + len(window), [], set(), 0
            limit = min(4 * limit, most)
    if window:
        yield begin, window


class Job:
    """The batches of one window, on their way to its vectors.

    As many chains as workers: each runs a batch and then asks the pool to run its next, so that closing the
    pool, leaving the program or abandoning the job ends it after the batches that run at that moment.
    """

    def __init__(self, pool: ThreadPoolExecutor, workers: int, run: Run, batches: Iterable[Batch]) -> None:
        from queue import SimpleQueue  # a lone text need not wait for it

        self._pool = pool
        self._run = run
        self._batches = deque(batches)
        self._left = len(self._batches)
        self._done: SimpleQueue[tuple[list[int], Vectors] | BaseException] = SimpleQueue()
        for _ in range(min(workers, self._left)):
            self._chain()

    def _chain(self) -> None:
        try:
            self._pool.submit(self._step)
        except RuntimeError:  # the pool is shut down
            self._done.put(ClosedError("this encoder was closed while it was encoding"))

    def _step(self) -> None:
        try:
            positions, batch = self._batches.popleft()
        except IndexError:
            return
        try:
            self._done.put((positions, self._run(batch)))
        except BaseException as error:  # noqa: BLE001  raised in the thread that waits
            self._done.put(error)
        else:
            self._chain()

    def result(self, vectors: Vectors, on_progress: Callable[[int], object]) -> None:
        """Wait for all batches and put their vectors in place; the first exception is raised as it is."""
        while self._left:
            outcome = self._done.get()
            if isinstance(outcome, BaseException):
                raise outcome
            positions, rows = outcome
            vectors[positions] = rows
            self._left -= 1
            on_progress(len(positions))

    def abandon(self) -> None:
        """Start no further batch."""
        self._batches.clear()


class Window:
    """One window that has been tokenized and handed to the workers.

    Attributes:
        job: Its batches.
        different: How many different texts it has.
        rows: For each of its texts, which of the different ones it is.
    """

    def __init__(self, job: Job, different: int, rows: Sequence[int]) -> None:
        self.job = job
        self._different = different
        self._rows = rows

    def result(self, width: int, on_progress: Callable[[int], object]) -> Vectors:
        """(n, width) float32, a row for each text; texts without tokens have zeros."""
        told = 0

        def tell(count: int) -> None:
            nonlocal told
            told += count
            on_progress(count)

        vectors = np.zeros((self._different, width), dtype=np.float32)
        self.job.result(vectors, tell)
        on_progress(len(self._rows) - told)  # texts without tokens, and those that had occurred before
        return vectors if len(self._rows) == self._different else vectors[self._rows]


def begin_window(
    pool: ThreadPoolExecutor,
    workers: int,
    run: Run,
    ids: Sequence[Sequence[int]],
    batch_tokens: int,
    rows: Sequence[int],
) -> Window:
    """Hand the different texts of a window, given as token ids, to the workers."""
    return Window(Job(pool, workers, run, exact_length_batches(ids, batch_tokens)), len(ids), rows)


def flow(begun: Iterable[Window], width: int, on_progress: Callable[[int], object]) -> Iterator[Vectors]:
    """The vectors of each window in order, with `_IN_FLIGHT` windows begun at a time.

    Whatever ends this early (an exception in a worker, Ctrl-C, a reader that stops) abandons what is in
    flight and leaves the workers free.
    """
    waiting: deque[Window] = deque()
    try:
        for window in begun:
            waiting.append(window)
            if len(waiting) == _IN_FLIGHT:
                yield waiting[0].result(width, on_progress)
                waiting.popleft()
        while waiting:
            yield waiting[0].result(width, on_progress)
            waiting.popleft()
    finally:
        for window in waiting:
            window.job.abandon()

"""Windows of texts through tokenizer and workers: the next is tokenized while the last one is encoded."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from sestina._errors import ClosedError
from sestina._process.native import ending
from sestina._schedule.batching import exact_length_batches

if TYPE_CHECKING:
    from sestina._arrays import Ids, Vectors
    from sestina._schedule.batching import Batch
    from sestina._schedule.workers import Results, Workers

    Run = Callable[[Ids], Vectors]
    Done = tuple[list[int], Vectors]

T = TypeVar("T")

_WINDOW = 4096  # different texts that are tokenized, sorted and encoded together
_FIRST_WINDOW = 256  # smaller, so that workers and readers need not wait; each next is four times as large
_REPEATS = 4  # a window holds at most so many times its limit in texts that have occurred in it before
_IN_FLIGHT = 2  # windows: one is being encoded, one is being tokenized or waits


def windows(
    texts: Iterable[T],
    characters: int,
    different_texts: int | None = None,
    more: int = 0,
    kind: type = str,
    length: Callable[[Any], int] = len,
) -> Iterator[tuple[int, list[T]]]:
    """Consecutive runs of texts, bounded in number and in characters, each with its first position.

    Args:
        texts: Anything; what is not of `kind` is passed on for others to refuse.
        characters: Of the different texts of a window; a longer text is a window by itself.
        different_texts: Of a window, at most; None: as many as are best for speed.
        more: Characters that each text has besides.
        kind: Of a text: a str, or a tuple of several.
        length: How many characters it has.
    """
    most = min(_WINDOW, different_texts or _WINDOW)
    begin, limit = 0, min(_FIRST_WINDOW, most)
    window: list[T] = []
    different: set[T] = set()
    size = 0
    for text in texts:
        window.append(text)
        if isinstance(text, kind) and text not in different:
            different.add(text)
            size += length(text) + more
        if len(different) == limit or len(window) == _REPEATS * limit or size >= characters:
            yield begin, window
            begin, window, different, size = begin + len(window), [], set(), 0
            limit = min(4 * limit, most)
    if window:
        yield begin, window


class Job:
    """The batches of one window, on their way to its vectors.

    As many chains as workers: each runs a batch and then asks the workers to run its next, so that closing
    them or abandoning the job ends it after the batches that run at that moment. Where there are no workers,
    or they stop because the interpreter is ending, who waits for the result runs the batches instead.

    Args:
        workers: None where there are none.
        count: Chains at most.
        run: Gives a batch's vectors.
        batches: What to run.
    """

    def __init__(self, workers: Workers | None, count: int, run: Run, batches: Iterable[Batch]) -> None:
        self._run = run
        self._batches = deque(batches)
        self._left = len(self._batches)
        self._results: Results[Done | BaseException] | None = None
        self._stopped = False
        chains = workers.start(min(count, self._left)) if workers is not None else 0
        if workers is None or not chains:
            return
        self._workers, self._results = workers, workers.results()
        for _ in range(min(chains, count, self._left)):
            self._chain(self._results)

    def _chain(self, results: Results[Done | BaseException]) -> None:
        if not self._workers.submit(partial(self._step, results)):
            results.put(ClosedError("this encoder was closed while it was encoding"))

    def _step(self, results: Results[Done | BaseException]) -> None:
        """Run the next batch, in a worker. It does not raise."""
        if ending():
            results.put(None)
            return
        try:
            batch = self._batches.popleft()
        except IndexError:
            return
        try:
            results.put((batch[0], self._run(batch[1])))
        except BaseException as error:  # noqa: BLE001  raised in the thread that waits
            if ending():  # in which case it is nothing but the cause
                self._batches.append(batch)
                results.put(None)
            else:
                results.put(error)
        else:
            self._chain(results)

    def result(self, vectors: Vectors, on_progress: Callable[[int], object]) -> None:
        """Wait for all batches and put their vectors in place; the first exception is raised as it is.

        Raises:
            ForkError: In a child that was forked meanwhile.
            ClosedError: Where the workers were closed, or are gone with the interpreter.
        """
        while self._left:
            done = self._here() or self._received()
            if done is None:
                continue
            positions, rows = done
            vectors[positions] = rows
            self._left -= 1
            on_progress(len(positions))

    def _here(self) -> Done | None:
        """The next batch, run by who waits, where no worker does."""
        if self._results is not None and not self._stopped:
            return None
        try:
            positions, batch = self._batches.popleft()
        except IndexError:  # the last ones were begun by workers
            return None
        return positions, self._run(batch)

    def _received(self) -> Done | None:
        """What a worker has done next; None where the workers have stopped."""
        if self._results is None or sys.is_finalizing():  # nor will what they had begun be done
            raise ClosedError("Python has ended while this encoder was encoding")
        outcome = self._results.get()
        if isinstance(outcome, BaseException):
            raise outcome
        self._stopped = self._stopped or outcome is None
        return outcome

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

    def result(self, blank: Callable[[int], Vectors], on_progress: Callable[[int], object]) -> Vectors:
        """A row for each text, as `flow` has it."""
        told = 0

        def tell(count: int) -> None:
            nonlocal told
            told += count
            on_progress(count)

        vectors = blank(self._different)
        self.job.result(vectors, tell)
        on_progress(len(self._rows) - told)  # texts without tokens, and those that had occurred before
        return vectors if len(self._rows) == self._different else vectors[self._rows]


def begin_window(
    workers: Workers | None,
    count: int,
    run: Run,
    ids: Sequence[Sequence[Any]],
    batch_tokens: int,
    rows: Sequence[int],
) -> Window:
    """Hand the different texts of a window, given as token ids, to so many workers."""
    return Window(Job(workers, count, run, exact_length_batches(ids, batch_tokens)), len(ids), rows)


def flow(
    begun: Iterable[Window], blank: Callable[[int], Vectors], on_progress: Callable[[int], object]
) -> Iterator[Vectors]:
    """The vectors of each window in order, with `_IN_FLIGHT` windows begun at a time.

    `blank` gives so many rows for vectors to be put in; texts without tokens keep theirs.

    Whatever ends this early (an exception in a worker, Ctrl-C, a reader that stops) abandons what is in
    flight and leaves the workers free.
    """
    waiting: deque[Window] = deque()
    try:
        for window in begun:
            waiting.append(window)
            if len(waiting) == _IN_FLIGHT:
                yield waiting[0].result(blank, on_progress)
                waiting.popleft()
        while waiting:
            yield waiting[0].result(blank, on_progress)
            waiting.popleft()
    finally:
        for window in waiting:
            window.job.abandon()

"""Threads that run batches, and the way back of what came of them.

Not those of `concurrent.futures`: the end of the main thread takes these away while others still encode, and
waits for them where a program has ended.
"""

from __future__ import annotations

from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread
from typing import Any, Generic, TypeVar

from sestina._handlers import let_through
from sestina._process.fork import ForkLock, check_process, this_process, watch_forks
from sestina._process.native import ending

T = TypeVar("T")

_Calls = SimpleQueue[Callable[[], object] | None]


class Workers:
    """Daemon threads, started when they are needed, that run calls in the order in which these come.

    They hold the queue of calls and nothing else, so that whoever lets go of the workers, and of what they
    ran, ends them and frees it.
    """

    def __init__(self) -> None:
        self._calls: _Calls = SimpleQueue()
        self._threads: list[Thread] = []
        self._lock = ForkLock()
        self._closed = False

    def start(self, count: int) -> int:
        """Have so many threads, or as many as can be had; 0 where there are none and none can be started."""
        return 0 if ending() else self._lock.holding(lambda: self._start(count))

    def _start(self, count: int) -> int:
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        while len(self._threads) < count:
            thread = Thread(
                target=_work, args=(self._calls,), name=f"sestina_{len(self._threads)}", daemon=True
            )
            try:
                thread.start()
            except (RuntimeError, MemoryError) as error:  # a limit of the system, or Python is ending
                let_through(error)
                break
            self._threads.append(thread)
        return len(self._threads)

    def submit(self, call: Callable[[], object]) -> bool:
        """Have a call run, which must not raise; False where it may never be: the workers were closed."""
        self._calls.put(call)
        return not self._closed

    def results(self) -> Results[Any]:
        """What is to come back from calls that are submitted: these put it there."""
        return Results()

    def close(self) -> None:
        """End the threads once they are done with what came before."""
        self._closed = True  # before the sign to end: what is submitted after that finds it
        self._calls.put(None)

    def __del__(self) -> None:
        self._calls.put(None)


def _work(calls: _Calls) -> None:
    while (call := calls.get()) is not None:
        call()
        del call  # while idle, keep nothing alive
    calls.put(None)  # for the others


class Results(Generic[T]):
    """What other threads hand to one that waits."""

    def __init__(self) -> None:
        self._queue: SimpleQueue[T | None] = SimpleQueue()
        self._process = this_process()
        watch_forks(self)

    def put(self, result: T | None) -> None:
        """Hand over a result; None is a sign that needs no result."""
        self._queue.put(result)

    def get(self) -> T | None:
        """Wait for the next.

        Raises:
            ForkError: In a child, where nobody hands over anything, even if it was forked meanwhile.
        """
        check_process(self._process)
        result = self._queue.get()
        check_process(self._process)
        return result

    def after_fork(self) -> None:
        """In a child: wake who waits."""
        self._queue.put(None)

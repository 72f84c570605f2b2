"""A call on a thread of its own, without the pools of `concurrent.futures`, whose import takes longer."""

from __future__ import annotations

from _thread import start_new_thread
from collections.abc import Callable
from threading import Lock
from typing import Generic, TypeVar

from sestina._handlers import let_through
from sestina._process.fork import check_process, this_process, watch_forks
from sestina._process.native import ending

T = TypeVar("T")


class BackgroundCall(Generic[T]):
    """Begins a call at once; `result` waits for it and gives what it gave, or raises what it raised.

    Where no thread can be had, the call is over when this has been made. The thread is one of `_thread`,
    because making one of `threading` waits for its start, which may never come in a forked child or while
    Python ends.
    """

    def __init__(self, call: Callable[[], T]) -> None:
        self._call = call
        self._value: list[T] = []
        self._error: BaseException | None = None
        self._process = this_process()
        self._pending = Lock()
        self._pending.acquire()
        watch_forks(self)
        try:
            if ending():
                raise RuntimeError("no thread would run")
            start_new_thread(self._run, ())
        except (RuntimeError, MemoryError) as error:  # a limit of the system, or Python is ending
            let_through(error)
            self._run()

    def _run(self) -> None:
        try:
            self._value.append(self._call())
        except BaseException as error:  # noqa: BLE001  raised in the thread that waits
            self._error = error
        finally:
            self._over()

    def result(self) -> T:
        """Wait for the call.

        Raises:
            ForkError: In a child that was forked meanwhile.
        """
        self._pending.acquire()
        self._over()
        check_process(self._process)
        if self._error is not None:
            raise self._error
        return self._value[0]

    def after_fork(self) -> None:
        """In a child: wake who waits for a thread that is not there."""
        self._over()

    def _over(self) -> None:
        if self._pending.locked():
            self._pending.release()

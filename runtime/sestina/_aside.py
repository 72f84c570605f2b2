"""A call on a thread of its own, without the pools of `concurrent.futures`, whose import takes longer."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock, Thread
from typing import Generic, TypeVar

T = TypeVar("T")


class Aside(Generic[T]):
    """A call that runs beside its caller's work, from `begin` on.

    `result` waits for it and gives what it gave, or raises what it raised. Both are for one thread.
    """

    def __init__(self, call: Callable[[], T]) -> None:
        self._call = call
        self._value: list[T] = []
        self._error: BaseException | None = None
        self._begun = False
        self._gate = Lock()
        self._gate.acquire()
        # Started here, since starting waits until the thread has begun: `begin` is to wait for nothing.
        self._thread = Thread(target=self._run, name="sestina-load", daemon=True)
        self._thread.start()

    def begin(self) -> Aside[T]:
        """Begin, unless it has begun. Returns: itself."""
        if not self._begun:
            self._begun = True
            self._gate.release()
        return self

    def _run(self) -> None:
        self._gate.acquire()
        try:
            self._value.append(self._call())
        except BaseException as error:  # noqa: BLE001  raised in the thread that waits
            self._error = error

    def result(self) -> T:
        """Wait for the call, which begins now at the latest."""
        self.begin()
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._value[0]

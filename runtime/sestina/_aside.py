"""A call on a thread of its own, without the pools of `concurrent.futures`, whose import takes longer."""

from __future__ import annotations

from collections.abc import Callable
from threading import Thread
from typing import Generic, TypeVar

T = TypeVar("T")


class Aside(Generic[T]):
    """Begins a call at once; `result` waits for it and gives what it gave, or raises what it raised."""

    def __init__(self, call: Callable[[], T]) -> None:
        self._call = call
        self._value: list[T] = []
        self._error: BaseException | None = None
        self._thread = Thread(target=self._run, name="sestina-load", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._value.append(self._call())
        except BaseException as error:  # noqa: BLE001  raised in the thread that waits
            self._error = error

    def result(self) -> T:
        """Wait for the call."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._value[0]

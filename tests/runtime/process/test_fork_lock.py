"""The lock that a forked child finds free, whenever the fork was."""

from __future__ import annotations

import threading

import pytest

from sestina._process.fork import ForkLock


class Forking:
    """A lock that has just been taken when a signal handler forks: what follows happens in the child."""

    def __init__(self, whole: ForkLock) -> None:
        self._whole, self._lock = whole, threading.Lock()

    def __enter__(self) -> None:
        self._lock.acquire()
        self._whole.after_fork()

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def acquire(self, *, blocking: bool) -> bool:
        return self._lock.acquire(blocking=blocking)

    def locked(self) -> bool:
        return self._lock.locked()

    def release(self) -> None:
        self._lock.release()


def test_a_fork_right_after_it_was_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    lock = ForkLock()
    inner = Forking(lock)
    monkeypatch.setattr(lock, "_lock", inner)
    assert lock.holding(lambda: (inner.locked(), lock.holding(lambda: 5))) == (True, 5)
    assert not inner.locked()


def test_a_fork_while_another_thread_has_it() -> None:
    """The child has not that thread: the lock is free there."""
    lock, taken, done = ForkLock(), threading.Event(), threading.Event()

    def hold() -> bool:
        taken.set()
        return done.wait(60)

    other = threading.Thread(target=lock.holding, args=[hold])
    other.start()
    taken.wait(60)
    lock.after_fork()
    assert lock.holding(lambda: 7) == 7
    lock._lock.acquire(blocking=False)  # as the other has it still, in the parent
    done.set()
    other.join()
    assert lock.holding(lambda: 8) == 8


def test_a_fork_by_who_has_it() -> None:
    lock = ForkLock()

    def fork() -> bool:
        lock.after_fork()
        return lock._lock.locked()

    assert lock.holding(fork)
    assert not lock._lock.locked()

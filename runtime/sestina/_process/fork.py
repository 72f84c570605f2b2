"""Forks: what a child inherits is of no use to it, must not be waited for, and must not be destroyed there.

Only the thread that forked exists in the child. Whoever waits there for another, which holds a lock or does
some work, would wait for ever. onnxruntime too waits, when a session runs or is destroyed, for threads that
exist only in the parent: a child would hang when it encodes, closes an encoder, loads another in its place,
or ends.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from threading import Lock, get_ident
from typing import Any, Protocol, TypeVar
from weakref import ref

from sestina._errors import ForkError

T = TypeVar("T")

_FORKED = (
    "this encoder was loaded before a fork, and its threads exist only in the parent: load the bundle in "
    "each process (or use the 'spawn' start method)"
)


class Inherited(Protocol):
    """Something that knows what to do in a forked child."""

    def after_fork(self) -> None:
        """Called in the child, before anything else of it runs."""


# Not a WeakSet, which forgets the dead in Python: an interrupt that came just there would be lost.
_living: set[ref[Any]] = set()
_process = object()


def this_process() -> object:
    """Stands for the process that calls: another object in every child."""
    return _process


def check_process(process: object) -> None:
    """Refuse to go on with what was begun in another process.

    Raises:
        ForkError: Where `process` is not this one.
    """
    if process is not _process:
        raise ForkError(_FORKED)


def watch_forks(thing: Inherited) -> None:
    """Have `after_fork` called in every child that is forked while `thing` lives."""
    _living.add(ref(thing, _living.discard))


def never_destroy(thing: object) -> None:
    """Keep an object for as long as the process lives, its end included."""
    import ctypes

    ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))


class ForkLock:
    """A lock that is free in a forked child, and that a signal handler or a destructor may take once more."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._holder: int | None = None
        watch_forks(self)

    def holding(self, call: Callable[[], T]) -> T:
        """Call while no other thread does."""
        me = get_ident()
        if self._holder == me:
            return call()
        with self._lock:
            self._holder = me
            # A signal handler that forked before that was known has let go of it, in the child.
            self._lock.acquire(blocking=False)
            try:
                return call()
            finally:
                self._holder = None

    def after_fork(self) -> None:
        """In a child: let go of it in place of a thread that is not there, and wake who waits for that."""
        if self._holder != get_ident() and self._lock.locked():
            self._holder = None
            self._lock.release()


class Inheritance:
    """Takes the place of what works only in the parent, for those who hold on to that."""

    def __getattr__(self, name: str) -> Any:
        raise ForkError(_FORKED)


def _in_child() -> None:
    global _process
    _process = object()
    for thing in [found() for found in _living.copy()]:
        if thing is not None:
            thing.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)

"""Sessions and forks: what a child process inherits is of no use to it, and must not be destroyed there.

onnxruntime waits, when a session is destroyed, for threads that exist only in the parent: a forked child
would hang when it closes an encoder, loads another in its place, or ends.
"""

from __future__ import annotations

import os
from typing import Any, Protocol
from weakref import WeakSet


class Inherited(Protocol):
    """Something that knows what to do in a forked child."""

    def after_fork(self) -> None:
        """Called in the child, before anything else of it runs."""


_living: WeakSet[Any] = WeakSet()


def watch_forks(thing: Inherited) -> None:
    """Have `after_fork` called in every child that is forked while `thing` lives."""
    _living.add(thing)


def never_destroy(thing: object) -> None:
    """Keep an object for as long as the process lives, its end included."""
    import ctypes

    ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))


def _in_child() -> None:
    for thing in list(_living):
        thing.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)

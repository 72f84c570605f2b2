"""Native calls that are under way, so that neither a fork nor the interpreter's end falls into one.

Once the interpreter is being taken down, a thread that comes back from native code is ended on the spot,
which C++ and Rust answer by aborting the process: a daemon thread that encodes would do that to a finished
program. And a child forked while another thread imports, or opens a session, inherits for ever the locks that
this thread held just then. So the end waits for every call of another thread and lets no new one begin, and a
fork waits for what is being opened.

This module is imported with the package: what is registered first with `atexit` is called last.
"""

from __future__ import annotations

import atexit
import os
import sys
import time
from _thread import get_ident

from sestina._errors import ClosedError, ForkError

_END_S = 10.0  # how long the end waits for the batches that run: each takes a fraction of that
_FORK_S = 5.0  # and a fork for an import or a session of the CPU
_POLL_S = 0.001
_ENDING = (
    "Python is ending, and would end this daemon thread in the middle of its work: encode before the main "
    "thread ends, or in a thread that is no daemon"
)
_ENDED = "Python has ended, and nothing can be imported or opened any more: load and encode before that"
_HALF = (
    "this process was forked while another thread was loading a bundle, and cannot load any: fork before or "
    "after that (or use the 'spawn' start method)"
)

# Threads by their idents, once for each call or fork that is under way. Lists, because what appends to them
# and removes from them is never interrupted by another thread.
_calls: list[int] = []
_openings: list[int] = []
_forks: list[int] = []
_ender: int | None = None  # the thread that ends the interpreter
_half_loaded = False


class _Calling:
    """`with calling:` around a native call that releases Python's lock.

    Raises:
        ClosedError: In another thread than the one that ends the interpreter, once that has begun.
    """

    def __enter__(self) -> None:
        me = get_ident()
        _calls.append(me)  # before the look at _ender: whoever sets that looks here afterwards
        if _ender is not None and _ender != me:
            _calls.remove(me)
            raise ClosedError(_ENDING)

    def __exit__(self, *_: object) -> None:
        _calls.remove(get_ident())


class _Opening(_Calling):
    """`with opening:` around imports in functions, and what makes a session: a fork waits for it too.

    Raises:
        ClosedError: As `calling`, and everywhere once modules are being taken apart.
        ForkError: In a child that has inherited half of it.
    """

    def __enter__(self) -> None:
        if _half_loaded:
            raise ForkError(_HALF)
        if sys.is_finalizing():
            raise ClosedError(_ENDED)
        me = get_ident()
        inside = me in _openings  # a fork that waits for what is around this must not be waited for
        _openings.append(me)
        while not inside and any(other != me for other in _forks):
            _openings.remove(me)
            time.sleep(_POLL_S)
            _openings.append(me)
        try:
            super().__enter__()
        except BaseException:
            _openings.remove(me)
            raise

    def __exit__(self, *_: object) -> None:
        _openings.remove(get_ident())
        super().__exit__()


calling, opening = _Calling(), _Opening()


def ending() -> bool:
    """Whether the interpreter is being taken down: no other thread does anything for this one any more."""
    return _ender is not None or sys.is_finalizing()


def _wait_for_others(threads: list[int], seconds: float) -> None:
    me, until = get_ident(), time.monotonic() + seconds
    while any(other != me for other in list(threads)) and time.monotonic() < until:
        time.sleep(_POLL_S)


def _at_end() -> None:
    global _ender
    _ender = get_ident()
    _wait_for_others(_calls, _END_S)


def _before_fork() -> None:
    _forks.append(get_ident())
    _wait_for_others(_openings, _FORK_S)


def _in_parent() -> None:
    _forks.remove(get_ident())


def _in_child() -> None:
    """Only the thread that forked is here, in the middle of whatever it was about."""
    global _ender, _half_loaded
    me = get_ident()
    _half_loaded = _half_loaded or any(other != me for other in _openings)
    for threads in (_calls, _openings):
        threads[:] = [thread for thread in threads if thread == me]
    _forks.clear()
    if _ender != me:
        _ender = None


atexit.register(_at_end)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_in_parent, after_in_child=_in_child)

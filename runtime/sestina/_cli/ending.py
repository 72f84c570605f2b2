"""Signals that ask a command to end: it takes away what it half wrote, and then ends by the signal."""

from __future__ import annotations

import _thread
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

# What a supervisor sends, and a terminal that is closed (on Windows also Ctrl-Break).
_NAMES = ("SIGTERM", "SIGHUP", "SIGBREAK")
# They come in pairs (a shell and the kernel both tell of a closed terminal), and the second must not stop the
# cleaning. One that comes later than this does: what the first raised may have been dropped on its way.
_AGAIN_S = 5.0
_MEANWHILE_S = 0.002  # of a destructor's time


class Terminated(KeyboardInterrupt):
    """The process was asked to end. Whatever cleans up after an interrupt cleans up after this."""


class Signals:
    """Which signal came, if any.

    Attributes:
        received: The number of the first; None where none came.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._last = -_AGAIN_S

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Unwind the main thread."""
        if _put_off(number, frame):
            return
        now = time.monotonic()
        if self.received is not None and now - self._last < _AGAIN_S:
            return
        self.received, self._last = self.received or number, now
        raise Terminated(number)

    def dropped(self, unraisable: UnraisableHookArgs) -> bool:
        """Whether Python could not raise what a signal had raised: the signal then comes again.

        Out of a destructor, a weak reference's callback and the like nothing is raised: Python prints it, and
        goes on as if nobody had asked for an end.
        """
        error = unraisable.exc_value
        if not isinstance(error, KeyboardInterrupt):
            return False
        self._last = -_AGAIN_S
        _come_again(error.args[0] if isinstance(error, Terminated) else signal.SIGINT)
        return True

    def end(self) -> int:
        """End this process by the signal that came, so that whoever waits for it sees that.

        Returns: the exit code, where a process cannot end so.
        """
        number = self.received or signal.SIGTERM
        if os.name != "nt":
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        return 128 + number


@contextmanager
def raised(came: Signals) -> Iterator[None]:
    """Inside the block signals to end raise `Terminated` in the main thread.

    One that is ignored (nohup), or that a program around us handles, is left as it is. An interrupt raises
    what it always does.
    """
    ours = []
    interrupts = False
    print_it = sys.unraisablehook

    def hook(unraisable: UnraisableHookArgs) -> None:
        if not came.dropped(unraisable):
            print_it(unraisable)

    try:
        if threading.current_thread() is threading.main_thread():  # no other raises what a signal asks for
            sys.unraisablehook = hook
            for name in _NAMES:
                number = getattr(signal, name, None)
                if number is not None and signal.getsignal(number) is signal.SIG_DFL:
                    ours.append(number)
                    signal.signal(number, came.handle)
            if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
                interrupts = True
                signal.signal(signal.SIGINT, _interrupt)
        yield
    finally:
        if sys.unraisablehook is hook:
            sys.unraisablehook = print_it
        if interrupts:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        for number in ours:
            signal.signal(number, signal.SIG_DFL)


def _interrupt(number: int, frame: FrameType | None) -> None:
    if not _put_off(number, frame):
        raise KeyboardInterrupt


def _put_off(number: int, frame: FrameType | None) -> bool:
    """Whether a destructor runs, out of which nothing is raised: the signal then comes again after it.

    It would end half done, and what it raises be dropped.
    """
    while frame is not None:
        if frame.f_code.co_name == "__del__":
            _come_again(number)
            return True
        frame = frame.f_back
    return False


def _come_again(number: int) -> None:
    with suppress(RuntimeError):  # the interpreter ends, and so does the command
        _thread.start_new_thread(_again, (signal.Signals(number),))


def _again(number: signal.Signals) -> None:
    """From a thread of its own: what a handler sets off itself, it is interrupted by itself."""
    time.sleep(_MEANWHILE_S)
    if hasattr(signal, "pthread_kill"):  # which ends a wait of the main thread, too
        signal.pthread_kill(threading.main_thread().ident or 0, number)
    else:
        _thread.interrupt_main(number)

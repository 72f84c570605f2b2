"""What an application raises out of a signal's handler in the midst of a call, to end what takes too long.

Whoever turns what a library, the system or a caller's object raises into an error of ours, or goes on after
it, must let that through: it is the application's own to catch.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import FrameType


def let_through(error: BaseException) -> None:
    """Raise it as it is, where the handler of a signal raised it.

    Python calls a handler with the frame that was interrupted, and nothing else with the frame of its caller.
    """
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        interrupted, place = place.tb_frame, place.tb_next
        if any(given is interrupted for given in _arguments(place.tb_frame)):
            raise error


def _arguments(frame: FrameType) -> Iterator[object]:
    code = frame.f_code
    count = code.co_argcount + code.co_kwonlyargcount
    for name in code.co_varnames[: count + 1]:  # the next is *args, where there are such
        value = frame.f_locals.get(name)
        yield value
        if type(value) is tuple:
            yield from value

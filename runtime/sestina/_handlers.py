"""What an application raises out of a signal's handler in the midst of a call, to end what takes too long.

Whoever turns what a library, the system or a caller's object raises into an error of ours, or goes on after
it, must let that through: it is the application's own to catch. Only what is built into Python is imported
for it, as it is at every start.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import CodeType, FrameType

_TAKES_MORE = 4  # a bit of a code's flags: it has *args


def let_through(error: BaseException) -> None:
    """Raise it as it is, where the handler of a signal raised it.

    Python calls a handler with the frame that was interrupted, and nothing else with the frame of its caller;
    one that has deleted its arguments is known by its code.
    """
    place, codes = error.__traceback__, None
    while place is not None and place.tb_next is not None:
        interrupted, place = place.tb_frame, place.tb_next
        called = place.tb_frame
        if any(given is interrupted for given in _arguments(called)):
            raise error
        codes = _codes() if codes is None else codes
        if called.f_code in codes:
            raise error


def _arguments(frame: FrameType) -> Iterator[object]:
    code = frame.f_code
    count = code.co_argcount + code.co_kwonlyargcount
    more = bool(code.co_flags & _TAKES_MORE)
    for name in code.co_varnames[: count + more]:  # *args come after all that have names
        value = frame.f_locals.get(name)
        yield value
        if type(value) is tuple:
            yield from value


def _codes() -> set[CodeType]:
    """Of the handlers that are installed, as far as they are written in Python."""
    found = set()
    for number in _signal.valid_signals():
        handler: object = _signal.getsignal(number)
        handler = getattr(handler, "func", handler)  # of a partial
        for each in (handler, getattr(type(handler), "__call__", None)):  # noqa: B004
            code = getattr(each, "__code__", None)  # a method's is its function's
            if code is not None:
                found.add(code)
    return found

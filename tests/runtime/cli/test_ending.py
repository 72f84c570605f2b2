"""A signal that comes while a destructor or a callback runs is not dropped with what Python drops there."""

from __future__ import annotations

import signal
import sys
import time
import weakref
from collections.abc import Iterator

import pytest

from sestina._cli.ending import Signals, Terminated, raised


class Loud:
    """Whose destructor is interrupted, and then does what it is there for."""

    done: list[int] = []  # noqa: RUF012

    def __init__(self, number: int) -> None:
        self._number = number

    def __del__(self) -> None:
        self._deeper()
        self.done.append(self._number)

    def _deeper(self) -> None:
        signal.raise_signal(self._number)


class Quiet:
    """Something that can be referred to weakly."""


@pytest.fixture
def dropped(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[object]]:
    """What destructors raise."""
    found: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda said: found.append(said.exc_type))
    Loud.done.clear()
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield found
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(
    ("number", "kind"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Terminated)]
)
def test_it_comes_after_the_destructor(
    number: signal.Signals, kind: type[KeyboardInterrupt], dropped: list[object]
) -> None:
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    began = time.monotonic()
    try:
        with pytest.raises(KeyboardInterrupt) as caught:
            _use_up(number)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert caught.type is kind
    assert time.monotonic() - began < 30  # it did not wait for what the main thread waited for
    assert Loud.done == [number]
    assert not dropped
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def _use_up(number: int) -> None:
    with raised(Signals()):
        thing = Loud(number)
        del thing
        time.sleep(60)  # which it ends


@pytest.mark.parametrize(
    ("number", "kind"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Terminated)]
)
def test_it_comes_after_what_is_no_destructor(
    number: signal.Signals, kind: type[KeyboardInterrupt], dropped: list[object]
) -> None:
    """A weak reference's callback, as the import system's locks have them: by no name can it be told."""
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    hook = sys.unraisablehook
    called: list[object] = []

    def callback(reference: object) -> None:
        called.append(reference)
        signal.raise_signal(number)

    def use_up() -> None:
        with raised(Signals()):
            thing = Quiet()
            kept = weakref.ref(thing, callback)
            del thing
            time.sleep(60)
            del kept

    began = time.monotonic()
    try:
        with pytest.raises(KeyboardInterrupt) as caught:
            use_up()
    finally:
        signal.signal(signal.SIGTERM, before)
    assert caught.type is kind
    assert time.monotonic() - began < 30
    assert len(called) == 1
    assert not dropped
    assert sys.unraisablehook is hook


def test_what_else_is_dropped_is_told_as_ever(dropped: list[object]) -> None:
    class Wrong:
        def __del__(self) -> None:
            raise ValueError

    with raised(Signals()):
        Wrong()
    assert dropped == [ValueError]


def test_python_itself_drops_it(dropped: list[object]) -> None:
    """The fault that this is for."""
    thing = Loud(signal.SIGINT)
    del thing
    assert dropped == [KeyboardInterrupt]
    assert not Loud.done


def test_a_program_that_handles_interrupts_keeps_its_handler(dropped: list[object]) -> None:
    seen: list[int] = []
    signal.signal(signal.SIGINT, lambda number, _: seen.append(number))
    with raised(Signals()):
        signal.raise_signal(signal.SIGINT)
    assert seen == [signal.SIGINT]
    assert not dropped

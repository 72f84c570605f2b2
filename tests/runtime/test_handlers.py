"""What a signal's handler raises in the midst of a call, to end what takes too long: it arrives as it was raised."""

from __future__ import annotations

import functools
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import sestina
from _struck import struck
from sestina._handlers import let_through

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="Windows has no such signal")

TEXTS = ["the transformer is an innovative nlp model", "attention", "a sestina takes the same words"] * 3
PLACES = 120  # of each call, from its beginning to its end


class Own(Exception):  # noqa: N818  what an application calls it is the application's
    """As Celery's and others' time limits have it."""


KINDS = (TimeoutError, Own, RuntimeError, ValueError)


@pytest.fixture
def raising() -> Iterator[list[type[Exception]]]:
    """A handler of SIGUSR1 that raises what the list has."""
    kinds: list[type[Exception]] = []

    def handler(number: int, frame: FrameType | None) -> None:
        raise kinds[-1]("the application's")

    before = signal.signal(signal.SIGUSR1, handler)
    yield kinds
    signal.signal(signal.SIGUSR1, before)


def calls(bundle: Path, encoder: sestina.Encoder) -> dict[str, Callable[[], Any]]:
    return {
        "load": lambda: sestina.load(bundle, threads=1),
        "load on a provider": lambda: sestina.load(bundle, provider=["cpu"], threads=1),
        "one": lambda: encoder.encode("a text"),
        "several": lambda: encoder.encode(TEXTS),
        "stream": lambda: list(encoder.stream(TEXTS)),
        "tokenize": lambda: encoder.tokenize("a text"),
        "explain": lambda: encoder.explain("a text"),
        "verify": lambda: encoder.verify(),
        "similarity": lambda: encoder.similarity(TEXTS[:1], TEXTS[1:3]),
    }


@pytest.mark.parametrize("name", calls(Path(), None))  # type: ignore[arg-type]
def test_it_arrives_from_wherever_the_call_was(
    name: str, bundle: Path, raising: list[type[Exception]]
) -> None:
    with sestina.load(bundle, threads=1) as encoder:
        call = calls(bundle, encoder)[name]
        call()
        whole = struck(call, 0)
        for turn, at in enumerate(range(1, whole, max(1, whole // PLACES))):
            raising.append(KINDS[turn % len(KINDS)])
            with pytest.raises(raising[-1], match=r"^the application's$") as caught:
                struck(call, at)
            assert not isinstance(caught.value, sestina.SestinaError)
        assert encoder.verify().passed


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("wall", ["tokenizer", "one text", "session", "opened", "file"])
def test_it_is_no_error_of_what_it_came_in_the_midst_of(
    kind: type[Exception], wall: str, bundle: Path, raising: list[type[Exception]], monkeypatch: Any
) -> None:
    import onnxruntime

    from sestina._bundle.files import HeldFile

    raising.append(kind)

    def interrupted(*_: object, **__: object) -> Any:
        signal.raise_signal(signal.SIGUSR1)

    class Interrupted:
        encode_batch_fast = encode = interrupted

    with sestina.load(bundle, threads=1) as encoder:
        call: Callable[[], object] = lambda: encoder.encode(["a", "b"])  # noqa: E731
        if wall == "tokenizer":
            monkeypatch.setattr(encoder._engine.tokenizer, "_tokenizer", Interrupted())
        elif wall == "one text":
            call = lambda: encoder.tokenize("a")  # noqa: E731
            monkeypatch.setattr(encoder._engine.tokenizer, "_tokenizer", Interrupted())
        elif wall == "session":
            monkeypatch.setattr(onnxruntime.InferenceSession, "run", interrupted)
        elif wall == "opened":
            call = lambda: sestina.load(bundle)  # noqa: E731
            monkeypatch.setattr(onnxruntime, "InferenceSession", interrupted)
        else:
            call = lambda: sestina.load(bundle)  # noqa: E731
            monkeypatch.setattr(HeldFile, "read", interrupted)
        with pytest.raises(kind, match=r"^the application's$"):
            call()


def test_what_was_not_raised_by_a_handler_is_turned_into_ours() -> None:
    def library(frame: object, *others: object) -> None:
        raise ValueError("the library's")

    for given in (None, sys._getframe(), threading.current_thread()):
        try:
            library(given)
        except ValueError as error:
            if given is sys._getframe():
                with pytest.raises(ValueError, match="the library's"):
                    let_through(error)
            else:
                let_through(error)
    let_through(ValueError("raised nowhere"))


@pytest.mark.parametrize(
    "form",
    ["function", "any arguments", "method", "partial", "object", "without its arguments", "object without"],
)
def test_a_handler_may_be_anything_that_is_called(form: str) -> None:
    class Limit:
        def method(self, number: int, frame: FrameType | None) -> None:
            raise TimeoutError(str(number))

        def __call__(self, number: int, frame: FrameType | None) -> None:
            self.method(number, frame)

    def function(number: int, frame: FrameType | None) -> None:
        raise TimeoutError(str(number))

    def anything(*given: Any) -> None:
        raise TimeoutError(str(given[0]))

    def last(more: str, number: int, frame: FrameType | None) -> None:
        raise TimeoutError(more)

    def without(number: int, frame: FrameType | None) -> None:
        del number, frame
        raise TimeoutError

    class Without:
        def __call__(self, number: int, frame: FrameType | None) -> None:
            del number, frame
            raise TimeoutError

    forms = {
        "without its arguments": without, "object without": Without(), "function": function, "any arguments": anything, "method": Limit().method, "partial": functools.partial(last, "x"),
        "object": Limit(),
    }  # fmt: skip
    before = signal.signal(signal.SIGUSR1, forms[form])
    try:
        signal.raise_signal(signal.SIGUSR1)
        pytest.fail("it raised nothing")
    except TimeoutError as error:
        with pytest.raises(TimeoutError):
            let_through(error)
    finally:
        signal.signal(signal.SIGUSR1, before)

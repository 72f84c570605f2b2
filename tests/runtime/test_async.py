"""Requests of one event loop are encoded together, and each gets what is its own."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sestina
from _made import needs_exporter
from _unmeasured import unmeasured
from sestina import AsyncEncoder

TEXTS = [f"{'model ' * (at % 20)}{at % 40}" for at in range(100)]


@pytest.fixture(scope="module")
def int8(bundle: Path) -> Iterator[sestina.Encoder]:
    with sestina.load(bundle, precision="int8", threads=2) as loaded:
        yield loaded


class Watched:
    """An encoder whose calls are counted, and may be held up."""

    def __init__(self, encoder: sestina.Encoder) -> None:
        self.encoder, self.calls = encoder, list[Any]()
        self.go = threading.Event()
        self.go.set()

    def encode(self, texts: Any, **options: Any) -> Any:
        self.calls.append(texts)
        assert self.go.wait(30)
        return self.encoder.encode(texts, **options)


def test_requests_of_one_turn_are_one_batch(int8: sestina.Encoder) -> None:
    watched = Watched(int8)

    async def run() -> list[Any]:
        async with AsyncEncoder(watched) as encoder:  # type: ignore[arg-type]
            return await asyncio.gather(*map(encoder.encode, TEXTS))

    vectors = asyncio.run(run())
    assert np.array_equal(np.array(vectors), int8.encode(TEXTS))
    assert [len(call) for call in watched.calls] == [100]
    assert all(vector.base is None for vector in vectors)  # none keeps the batch


def test_what_comes_meanwhile_is_the_next_batch(int8: sestina.Encoder) -> None:
    watched = Watched(int8)

    async def run() -> list[Any]:
        async with AsyncEncoder(watched, max_batch=4) as encoder:  # type: ignore[arg-type]
            watched.go.clear()
            first = asyncio.create_task(encoder.encode("a"))
            while not watched.calls:
                await asyncio.sleep(0.001)
            others = [asyncio.create_task(encoder.encode(text)) for text in TEXTS[:6]]
            others.append(asyncio.create_task(encoder.encode(TEXTS[:9])))
            await asyncio.sleep(0)
            watched.go.set()
            return [await first, *await asyncio.gather(*others)]

    vectors = asyncio.run(run())
    assert watched.calls == ["a", TEXTS[:4], TEXTS[4:6], TEXTS[:9]]
    for vector, wanted in zip(vectors, ["a", *TEXTS[:6], TEXTS[:9]], strict=True):
        assert np.array_equal(vector, int8.encode(wanted))


def test_a_bad_text_is_its_callers_own_error(int8: sestina.Encoder) -> None:
    async def run() -> list[Any]:
        async with AsyncEncoder(int8) as encoder:
            given: list[Any] = ["a", 5, ["b", None], "\ud800", ["c", "d"], "model " * 500]
            asked = [encoder.encode(each, on_truncate="error") for each in given]
            return await asyncio.gather(*asked, return_exceptions=True)

    right, five, none, lone, two, long = asyncio.run(run())
    assert np.array_equal(right, int8.encode("a"))
    assert np.array_equal(two, int8.encode(["c", "d"]))
    for error, kind in (
        (five, sestina.TextTypeError), (none, sestina.TextTypeError), (lone, sestina.TextValueError),
        (long, sestina.TruncationError),
    ):  # fmt: skip
        assert isinstance(error, kind)
    assert "row 1 is null" in str(none)


def test_options_are_of_each_request(int8: sestina.Encoder) -> None:
    async def run() -> list[Any]:
        async with AsyncEncoder(int8) as encoder:
            wide = [encoder.encode(text) for text in TEXTS[:5]]
            short = [encoder.encode(text, dimensions=8) for text in TEXTS[:5]]
            return await asyncio.gather(*(each for pair in zip(wide, short, strict=True) for each in pair))

    found = asyncio.run(run())
    assert np.array_equal(found[::2], int8.encode(TEXTS[:5]))
    assert np.array_equal(found[1::2], int8.encode(TEXTS[:5], dimensions=8))


def test_a_cancelled_request_is_not_encoded_and_harms_nobody(int8: sestina.Encoder) -> None:
    watched = Watched(int8)

    async def run() -> Any:
        async with AsyncEncoder(watched, max_pending=2) as encoder:  # type: ignore[arg-type]
            watched.go.clear()
            first = asyncio.create_task(encoder.encode("first"))
            while not watched.calls:
                await asyncio.sleep(0.001)
            waiting = asyncio.create_task(encoder.encode("waiting"))
            outside = [asyncio.create_task(encoder.encode(f"outside {at}")) for at in range(3)]
            await asyncio.sleep(0.01)
            waiting.cancel()
            outside[0].cancel()
            first.cancel()
            await asyncio.sleep(0.01)
            watched.go.set()
            return await asyncio.gather(*outside[1:])

    vectors = asyncio.run(run())
    assert np.array_equal(vectors, int8.encode(["outside 1", "outside 2"]))
    flat = [text for call in watched.calls for text in ([call] if isinstance(call, str) else call)]
    assert flat == ["first", "outside 1", "outside 2"]


def test_no_more_wait_than_are_allowed_and_all_come_in_their_order(int8: sestina.Encoder) -> None:
    watched = Watched(int8)

    async def run() -> list[Any]:
        async with AsyncEncoder(watched, max_batch=3, max_pending=5) as encoder:  # type: ignore[arg-type]
            tasks = [asyncio.create_task(encoder.encode(text)) for text in TEXTS]
            large = asyncio.create_task(encoder.encode(TEXTS[:50]))  # more than may wait: let in alone
            most = 0
            while not all(task.done() for task in [*tasks, large]):
                most = max(most, len(encoder._waiting))
                await asyncio.sleep(0)
            assert most <= 5
            assert np.array_equal(await large, int8.encode(TEXTS[:50]))
            return [await task for task in tasks]

    assert np.array_equal(asyncio.run(run()), int8.encode(TEXTS))
    assert [
        text for call in watched.calls[:-1] for text in ([call] if isinstance(call, str) else call)
    ] == TEXTS


def test_empty_requests(int8: sestina.Encoder) -> None:
    async def run() -> Any:
        async with AsyncEncoder(int8) as encoder:
            return await asyncio.gather(encoder.encode([]), encoder.encode("a"), encoder.encode([]))

    first, text, last = asyncio.run(run())
    assert first.shape == last.shape == (0, int8.dimensions)
    assert np.array_equal(text, int8.encode("a"))


def test_closed(int8: sestina.Encoder, bundle: Path) -> None:
    async def run() -> None:
        encoder = AsyncEncoder(int8)
        asked = asyncio.create_task(encoder.encode("a"))
        await asyncio.sleep(0)
        await encoder.aclose()
        assert np.array_equal(await asked, int8.encode("a"))
        await encoder.aclose()
        with pytest.raises(sestina.ClosedError, match="this AsyncEncoder is closed"):
            await encoder.encode("a")
        other = sestina.load(bundle)
        other.close()
        async with AsyncEncoder(other) as closed:
            with pytest.raises(sestina.ClosedError, match="this encoder is closed"):
                await closed.encode("a")

    asyncio.run(run())


def test_one_loop_after_the_other(int8: sestina.Encoder) -> None:
    encoder = AsyncEncoder(int8)
    for _ in range(2):
        assert np.array_equal(asyncio.run(encoder.encode("a")), int8.encode("a"))

    async def other() -> None:
        loop = asyncio.new_event_loop()
        with pytest.raises(sestina.OptionError, match="of one event loop"):
            await asyncio.to_thread(loop.run_until_complete, encoder.encode("a"))
        loop.close()

    async def both() -> None:
        await encoder.encode("a")
        await other()
        await encoder.aclose()

    asyncio.run(both())


def test_options_that_cannot_be_compared_harm_nobody(int8: sestina.Encoder) -> None:
    async def run() -> list[Any]:
        async with AsyncEncoder(int8) as encoder:
            bad: Any = np.array([1, 2])
            asked = [
                encoder.encode("a", dimensions=bad),
                encoder.encode("b", dimensions=bad),
                encoder.encode("c"),
            ]
            return await asyncio.gather(*asked, return_exceptions=True)

    first, second, right = asyncio.run(run())
    assert isinstance(first, sestina.OptionError)
    assert isinstance(second, sestina.OptionError)
    assert np.array_equal(right, int8.encode("c"))


class Eight(int):
    """Says that it is None."""

    def __repr__(self) -> str:
        return "None"


class Unsaid:
    def __repr__(self) -> str:
        raise RuntimeError


def test_options_that_call_themselves_what_they_like_harm_nobody(int8: sestina.Encoder) -> None:
    async def run() -> list[Any]:
        async with AsyncEncoder(int8) as encoder:
            unsaid: Any = Unsaid()
            asked = [
                encoder.encode("a", dimensions=Eight(8)),
                encoder.encode("b", dimensions=None),
                encoder.encode("c", dimensions=unsaid),
            ]
            return await asyncio.gather(*asked, return_exceptions=True)

    first, second, third = asyncio.run(run())
    assert np.array_equal(first, int8.encode("a", dimensions=8))
    assert np.array_equal(second, int8.encode("b"))
    assert isinstance(third, sestina.OptionError)


def test_closing_waits_for_those_who_wait_for_room(int8: sestina.Encoder) -> None:
    async def run() -> list[bool]:
        encoder = AsyncEncoder(int8, max_pending=1)
        tasks = [asyncio.create_task(encoder.encode(text)) for text in TEXTS[:5]]
        await asyncio.sleep(0)
        await encoder.aclose()
        await asyncio.sleep(0)
        assert encoder._pool is None
        return [task.done() for task in tasks]

    assert all(asyncio.run(run()))


def test_a_truncated_text_is_told_to_its_caller_in_its_place(int8: sestina.Encoder) -> None:
    long = "model " * 500

    async def run() -> None:
        async with AsyncEncoder(int8) as encoder:
            others = [asyncio.create_task(encoder.encode(text)) for text in TEXTS[:3]]
            with pytest.warns(sestina.TruncationWarning, match="^text 1 has more than") as told:
                vectors = await encoder.encode(["a", long])
            assert [warning.filename for warning in told] == [__file__]
            assert (told[0].message.count, told[0].message.first) == (1, 1)  # type: ignore[union-attr]
            assert np.array_equal(vectors, int8.encode(["a", long], on_truncate="ignore"))
            await asyncio.gather(*others)

    asyncio.run(run())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.parametrize("open_loop", [False, True])
def test_in_a_forked_child(open_loop: bool, bundle: Path) -> None:
    code = f"""
import asyncio, os, sys, warnings
warnings.simplefilter("ignore")
import numpy as np, sestina
encoder = sestina.load(sys.argv[1], threads=1)
many, loop = sestina.AsyncEncoder(encoder), asyncio.new_event_loop()
wanted = loop.run_until_complete(many.encode("a"))
if not {open_loop}: loop.close()
child = os.fork()
if not child:
    other = asyncio.new_event_loop()
    right = np.abs(other.run_until_complete(asyncio.wait_for(many.encode("a"), 20)) - wanted).max() < 1e-6
    other.run_until_complete(many.aclose())
    os._exit(7 if right else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) - 7)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(bundle)],
        capture_output=True, text=True, timeout=60, env=unmeasured(),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["max_batch", "max_pending"])
@pytest.mark.parametrize("value", [0, -1, 1.5, "1", None, True])
def test_numbers(name: str, value: Any, int8: sestina.Encoder) -> None:
    with pytest.raises(sestina.OptionError, match=f"^{name} is "):
        AsyncEncoder(int8, **{name: value})


def test_what_is_no_encoder_is_refused(int8: sestina.Encoder, bundle: Path) -> None:
    """A str has an `encode` too: AsyncEncoder("a path").encode("utf-8") gave b"a path"."""
    for wrong in (str(bundle), bundle, None, 5, b"a", int8.encode, sestina.Encoder, np.str_("a"), object()):
        with pytest.raises(
            sestina.OptionError, match="^encoder is .*; it must be an Encoder, as sestina.load gives"
        ):
            AsyncEncoder(wrong)  # type: ignore[arg-type]


@needs_exporter
def test_an_encoder_of_another_task_is_refused(tmp_path: Path) -> None:
    from _heads import head_checkpoint
    from sestina_export import export

    path = export(head_checkpoint("sparse"), tmp_path / "tiny.sestina", precisions=["fp32"]).path
    with (
        sestina.load_sparse_encoder(path) as sparse,
        pytest.raises(
            sestina.OptionError, match="^encoder is <sestina.SparseEncoder .*; it must be an Encoder"
        ),
    ):
        AsyncEncoder(sparse)  # type: ignore[arg-type]

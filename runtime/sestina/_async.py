"""Many callers of one event loop, one encoder: what arrives together is encoded together.

Nobody waits for company. Requests of one turn of the loop become one batch, and those that come while a batch
is computed the next: a lone request is encoded at once, and the busier the loop the larger the batches.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

from sestina._arguments import plain_str, text_sequence, whole_number
from sestina._caller import warn_caller
from sestina._encoder import Encoder
from sestina._errors import ClosedError, OptionError
from sestina._loaded import Reloading
from sestina._process.fork import this_process
from sestina._process.native import opening
from sestina._quote import quote
from sestina._requests import Request, encoded, kind_of
from sestina._text.checked import text_or_null

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

    from sestina._arrays import Column, Embeddings

_CLOSED = "this AsyncEncoder is closed: make another"


class AsyncEncoder:
    """An `Encoder` for coroutines: an async context manager, of one event loop at a time.

    Vectors are those of the same method of `Encoder`, bit for bit where the variant's are in any company
    (int8), and errors are those of the caller's own texts. A cancelled request is encoded no more, unless its
    batch is under way.

    Args:
        encoder: What encodes. It is the caller's, and stays open after `aclose`.
        max_batch: Texts of several requests that are encoded together; a larger request is a batch alone.
        max_pending: Texts that may wait; who comes with more waits to be let in.

    Raises:
        OptionError: Where a number is not allowed, or `encoder` is none, such as the path of a bundle.
    """

    def __init__(self, encoder: Encoder, *, max_batch: int = 256, max_pending: int = 4096) -> None:
        self.encoder = _encoder_of(encoder)
        self._most = whole_number("max_batch", max_batch, 1, 1 << 20)
        self._room = whole_number("max_pending", max_pending, 1, 1 << 24)
        self._waiting: deque[Request] = deque()
        self._outside: deque[tuple[asyncio.Future[None], int]] = deque()
        self._pending = 0  # texts of requests that are let in
        self._task: asyncio.Task[None] | None = None
        self._pool: ThreadPoolExecutor | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._process = this_process()
        self._closed = False

    async def encode(self, texts: str | Sequence[str | None] | Column, **options: Any) -> Embeddings:
        """`Encoder.encode`, with its options, awaited.

        Returns: (d,) for one text; (n, d) for several, in their order; in float32, or as `output` says.

        Raises:
            ClosedError: After `aclose`.
            SestinaError: As `Encoder.encode`.
        """
        return await self._answered("encode", texts, options)

    async def encode_query(self, texts: str | Sequence[str | None] | Column, **options: Any) -> Embeddings:
        """`Encoder.encode_query`, awaited; else as `encode`."""
        return await self._answered("encode_query", texts, options)

    async def encode_document(self, texts: str | Sequence[str | None] | Column, **options: Any) -> Embeddings:
        """`Encoder.encode_document`, awaited; else as `encode`."""
        return await self._answered("encode_document", texts, options)

    async def _answered(
        self, method: str, texts: str | Sequence[str | None] | Column, options: dict[str, Any]
    ) -> Embeddings:
        if self._closed:
            raise ClosedError(_CLOSED)
        self._be_of(asyncio.get_running_loop())
        text = plain_str(texts)
        listed = text_sequence(texts) if text is None else [text]
        nulls = plain_str(options.get("on_null")) == "zero"
        places = [None] if text is not None else range(len(listed))
        checked = [text_or_null(each, at, nulls=nulls) for each, at in zip(listed, places, strict=True)]
        count = max(1, len(checked))
        await self._let_in(count)
        try:
            answer = asyncio.get_running_loop().create_future()
            kind = kind_of(method, options)
            self._waiting.append(Request(method, checked, text is not None, options, kind, answer))
            if self._task is None or self._task.done():
                self._task = asyncio.create_task(self._work())
            vectors, told = await answer
            for warning in told:
                warn_caller(warning)
            found: Embeddings = vectors
            return found
        finally:
            self._leave(count)

    async def aclose(self) -> None:
        """Encode what waits, and take nothing more. The encoder stays open."""
        self._closed = True
        if self._loop is not None:
            self._be_of(asyncio.get_running_loop())
        while self._pending or self._outside:  # those who were let in, and those who wait for room
            if self._task is None or self._task.done():
                await asyncio.sleep(0)
            else:
                await asyncio.shield(self._task)
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=False)

    async def __aenter__(self) -> AsyncEncoder:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    def _be_of(self, loop: asyncio.AbstractEventLoop) -> None:
        """Forget what a loop that has ended, or a parent, left waiting."""
        inherited = self._process is not this_process()  # by a fork, and without the thread that encodes
        if self._loop is loop and not inherited:
            return
        if self._loop is not None and not self._loop.is_closed() and not inherited:
            raise OptionError(
                "an AsyncEncoder is of one event loop, and another one uses it: make one for each"
            )
        if inherited:
            self._process, self._pool = this_process(), None
        self._loop, self._task, self._pending = loop, None, 0
        self._waiting.clear()
        self._outside.clear()

    async def _let_in(self, count: int) -> None:
        """Wait for room, in the order of coming. What is larger than all of it is let in alone."""
        if not self._outside and self._has_room(count):
            self._pending += count
            return
        place = (asyncio.get_running_loop().create_future(), count)
        self._outside.append(place)
        try:
            await place[0]  # whoever ends this has counted it in
        except asyncio.CancelledError:
            if place[0].done() and not place[0].cancelled():
                self._leave(count)
            else:
                self._outside.remove(place)
                self._let_others_in()
            raise

    def _leave(self, count: int) -> None:
        self._pending -= count
        self._let_others_in()

    def _has_room(self, count: int) -> bool:
        return not self._pending or self._pending + count <= self._room

    def _let_others_in(self) -> None:
        while self._outside and self._has_room(self._outside[0][1]):
            turn, count = self._outside.popleft()
            if not turn.done():
                self._pending += count
                turn.set_result(None)

    async def _work(self) -> None:
        """Encode, batch after batch, until nobody waits."""
        await asyncio.sleep(0)  # the others of this turn of the loop
        while self._waiting:
            batch = self._next_batch()
            if not batch:
                continue
            try:
                results = await self._outside_the_loop(batch)
            except BaseException as error:  # noqa: BLE001  whatever came, nobody may wait for ever
                results = [error] * len(batch)
            for request, result in zip(batch, results, strict=True):
                if request.answer.done():
                    continue
                if isinstance(result, BaseException):
                    request.answer.set_exception(result)
                else:
                    request.answer.set_result(result)

    def _next_batch(self) -> list[Request]:
        """Requests with the options of the first, in their order, as many as may be together."""
        batch: list[Request] = []
        count = 0
        while self._waiting:
            first = self._waiting[0]
            if first.answer.done():  # cancelled
                self._waiting.popleft()
                continue
            if batch and (count + len(first.texts) > self._most or first.kind != batch[0].kind):
                break
            batch.append(self._waiting.popleft())
            count += len(first.texts)
        return batch

    async def _outside_the_loop(self, batch: list[Request]) -> list[Any]:
        if self._pool is None:
            with opening:
                from concurrent.futures import ThreadPoolExecutor

            # One thread: a batch has all cores to itself.
            self._pool = ThreadPoolExecutor(1, thread_name_prefix="sestina-async")
        return await asyncio.get_running_loop().run_in_executor(self._pool, encoded, self.encoder, batch)


def _encoder_of(given: Any) -> Encoder:
    """An `Encoder`, or what stands before one and encodes as it does.

    Raises:
        OptionError: Where it is anything else: a str encodes too, and other tasks give no such vectors.
    """
    other = isinstance(given, str | Reloading | type) and not isinstance(given, Encoder)
    if other or not callable(getattr(given, "encode", None)):
        raise OptionError(f"encoder is {quote(given)}; it must be an Encoder, as sestina.load gives it")
    found: Encoder = given
    return found

"""Many callers of one event loop, one encoder: what arrives together is encoded together.

Nobody waits for company. Requests of one turn of the loop become one batch, and those that come while a batch
is computed the next: a lone request is encoded at once, and the busier the loop the larger the batches.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from sestina._arguments import plain_str, text_sequence, whole_number
from sestina._caller import kept_warnings, warn_caller
from sestina._errors import ClosedError, OptionError
from sestina._process.fork import this_process
from sestina._process.native import opening
from sestina._text.tokenizer import check_text

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

    from sestina._arrays import Column, Vectors
    from sestina._encoder import Encoder

_CLOSED = "this AsyncEncoder is closed: make another"


class _Request(NamedTuple):
    """What one caller waits for: vectors of some texts, or of the only one. Those of one kind go together."""

    texts: list[str]
    alone: bool
    options: dict[str, Any]
    kind: str
    answer: asyncio.Future[Any]


class AsyncEncoder:
    """An `Encoder` for coroutines: an async context manager, of one event loop at a time.

    Vectors are those of `Encoder.encode`, bit for bit where the variant's are in any company (int8), and
    errors are those of the caller's own texts. A cancelled request is encoded no more, unless its batch is
    under way.

    Args:
        encoder: What encodes. It is the caller's, and stays open after `aclose`.
        max_batch: Texts of several requests that are encoded together; a larger request is a batch alone.
        max_pending: Texts that may wait; who comes with more waits to be let in.

    Raises:
        OptionError: Where a number is not allowed.
    """

    def __init__(self, encoder: Encoder, *, max_batch: int = 256, max_pending: int = 4096) -> None:
        self.encoder = encoder
        self._most = whole_number("max_batch", max_batch, 1, 1 << 20)
        self._room = whole_number("max_pending", max_pending, 1, 1 << 24)
        self._waiting: deque[_Request] = deque()
        self._outside: deque[tuple[asyncio.Future[None], int]] = deque()
        self._pending = 0  # texts of requests that are let in
        self._task: asyncio.Task[None] | None = None
        self._pool: ThreadPoolExecutor | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._process = this_process()
        self._closed = False

    async def encode(self, texts: str | Sequence[str] | Column, **options: Any) -> Vectors:
        """`Encoder.encode`, with its options, awaited.

        Returns: (d,) float32 for one text; (n, d) for several, in their order.

        Raises:
            ClosedError: After `aclose`.
            SestinaError: As `Encoder.encode`.
        """
        if self._closed:
            raise ClosedError(_CLOSED)
        self._be_of(asyncio.get_running_loop())
        text = plain_str(texts)
        listed = text_sequence(texts) if text is None else [text]
        checked = [check_text(each, None if text is not None else at) for at, each in enumerate(listed)]
        count = max(1, len(checked))
        await self._let_in(count)
        try:
            answer = asyncio.get_running_loop().create_future()
            self._waiting.append(
                _Request(checked, text is not None, options, repr(sorted(options.items())), answer)
            )
            if self._task is None or self._task.done():
                self._task = asyncio.create_task(self._work())
            vectors, told = await answer
            for warning in told:
                warn_caller(warning)
            found: Vectors = vectors
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

    def _next_batch(self) -> list[_Request]:
        """Requests with the options of the first, in their order, as many as may be together."""
        batch: list[_Request] = []
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

    async def _outside_the_loop(self, batch: list[_Request]) -> list[Any]:
        if self._pool is None:
            with opening:
                from concurrent.futures import ThreadPoolExecutor

            # One thread: a batch has all cores to itself.
            self._pool = ThreadPoolExecutor(1, thread_name_prefix="sestina-async")
        return await asyncio.get_running_loop().run_in_executor(self._pool, _encoded, self.encoder, batch)


def _encoded(encoder: Encoder, batch: list[_Request]) -> list[Any]:
    """What each request gets: its vectors and warnings, or the error of its own."""
    if len(batch) > 1:
        # A text over the limit is told to its caller, in its place among the caller's own.
        options = batch[0].options
        if options.get("on_truncate", "warn") == "warn":
            options = {**options, "on_truncate": "error"}
        try:
            vectors = encoder.encode([text for each in batch for text in each.texts], **options)
        except Exception:  # noqa: BLE001  of one of them: each alone says whose it is
            return [_alone(encoder, each) for each in batch]
        ends = np.cumsum([len(each.texts) for each in batch])
        parts = np.split(vectors, ends[:-1])
        return [
            ((part[0] if each.alone else part).copy(), ()) for part, each in zip(parts, batch, strict=True)
        ]
    return [_alone(encoder, batch[0])]


def _alone(encoder: Encoder, request: _Request) -> Any:
    try:
        with kept_warnings() as told:
            vectors = encoder.encode(request.texts[0] if request.alone else request.texts, **request.options)
    except Exception as error:  # noqa: BLE001  it is raised where it is awaited
        return error
    return vectors, told

"""A stream of vectors: an iterator that ends where its texts end, and nowhere else in silence."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from sestina._errors import ClosedError
from sestina._process.fork import check_process, this_process
from sestina._text.prompt import Prompt
from sestina._text.truncation import TruncationWatch

if TYPE_CHECKING:
    from sestina._arrays import Vectors
    from sestina._schedule.engine import Engine


class Stream(Iterator["Vectors"]):
    """Vectors one after the other.

    A generator that has raised says of every further `next` that it is at its end, which whoever goes on
    would take for the end of the texts. This one refuses.

    Args:
        vectors: What gives them, begun in this process.
    """

    def __init__(self, vectors: Generator[Vectors, None, None]) -> None:
        self._vectors = vectors
        self._process = this_process()
        self._failure: str | None = None

    def __next__(self) -> Vectors:
        """The next one.

        Raises:
            ForkError: In a child that was forked since the stream was begun: its place among the texts is the
                parent's.
            ClosedError: After any other error.
        """
        check_process(self._process)
        if self._failure is not None:
            raise ClosedError(f"this stream ended with {self._failure}, before its texts did: begin another")
        try:
            return next(self._vectors)
        except StopIteration:
            raise
        except BaseException as error:
            if getattr(self._vectors, "gi_frame", None) is None:  # and not only busy in another thread
                self._failure = type(error).__name__
            raise

    def close(self) -> None:
        """Let go of what is under way; a further `next` is at the end."""
        self._vectors.close()


def begin_stream(
    engine: Engine,
    texts: Iterable[Any],
    watch: Callable[[], TruncationWatch],
    on_progress: Callable[[int], object],
    finish: Callable[[Vectors], Vectors],
    prompt: Prompt,
) -> Stream:
    """The vectors of texts, window by window.

    Args:
        engine: Encodes.
        texts: What is no text is refused when it comes.
        watch: Makes what is told of the truncated texts of one window.
        on_progress: Is told the number of texts of each batch that is done.
        finish: What becomes of the (n, width) vectors of a window.
        prompt: What stands before each text.
    """
    return Stream(_vectors(engine, texts, watch, on_progress, finish, prompt))


def _vectors(
    engine: Engine,
    texts: Iterable[Any],
    watch: Callable[[], TruncationWatch],
    on_progress: Callable[[int], object],
    finish: Callable[[Vectors], Vectors],
    prompt: Prompt,
) -> Generator[Vectors, None, None]:
    watches: deque[TruncationWatch] = deque()

    def watched() -> TruncationWatch:
        watches.append(watch())
        return watches[-1]

    for rows in engine.vectors(engine.here(texts), watched, on_progress, prompt):
        watches.popleft().report()
        yield from finish(rows)

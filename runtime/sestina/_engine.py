"""Texts to vectors under a memory budget, on all the cores there are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING, Protocol

import numpy as np

from sestina._batching import exact_length_batches
from sestina._budget import Budget
from sestina._errors import ClosedError, ForkError
from sestina._fork import watch_forks
from sestina._pipeline import Window, begin_window, flow, windows
from sestina._sessions import Sessions
from sestina._text import Tokenizer, Tokens, check_text
from sestina._truncation import TruncationWatch

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

    from sestina._arrays import Vectors

VECTORS, STATES = "sentence_embedding", "last_hidden_state"
_CLOSED = "this encoder is closed: load the bundle again"
_FORKED = (
    "this encoder was loaded before a fork, and its threads exist only in the parent: load the bundle in "
    "each process (or use the 'spawn' start method)"
)


class Watch(Protocol):
    """Is told which texts were over the limit."""

    def see(self, positions: Iterable[int | None]) -> None:
        """By their position in the caller's input."""


class Engine:
    """The tokenizer, the sessions and the workers of one loaded bundle."""

    def __init__(self, tokenizer: Tokenizer, sessions: Sessions, budget: Budget, width: int) -> None:
        self._tokenizer = tokenizer
        self._sessions: Sessions | None = sessions
        self._budget = budget
        self._width = width
        self._lock = Lock()
        self._workers: ThreadPoolExecutor | None = None
        self._forked = False
        watch_forks(self)

    def sessions(self) -> Sessions:
        """The open sessions.

        Raises:
            ClosedError: After `close`.
            ForkError: In a process that was forked from the one that loaded the bundle.
        """
        sessions = self._sessions
        if self._forked:
            raise ForkError(_FORKED)
        if sessions is None:
            raise ClosedError(_CLOSED)
        return sessions

    def after_fork(self) -> None:
        """In a child: forget what only works in the parent, whatever state it was caught in."""
        self._forked, self._sessions, self._workers = True, None, None
        self._lock = Lock()

    def close(self) -> None:
        """Let go of the weights, and of the workers once they are done with what they run."""
        with self._lock:
            self._sessions = None
            if self._workers is not None:
                self._workers.shutdown(wait=False, cancel_futures=False)
            self._workers = None

    def tokens(self, text: str) -> Tokens:
        """Everything there is to see about the tokens of one text."""
        self.sessions()
        return self._tokenizer.tokens(check_text(text))

    def ids(self, texts: Sequence[str], begin: int | None, watch: TruncationWatch) -> list[list[int]]:
        """Token ids of texts, in order.

        Args:
            texts: The texts.
            begin: The position of the first in the caller's input, for messages; None for one lone text.
            watch: Is told of every text that is over the limit.
        """
        checked = [check_text(text, None if begin is None else begin + at) for at, text in enumerate(texts)]
        ids, truncated = self._tokenizer.ids(checked)
        watch.see(None if begin is None else begin + at for at in truncated)
        return ids

    def vector(self, text: str, watch: TruncationWatch) -> Vectors:
        """The vector of one text alone, (1, width), by the quickest path."""
        sessions = self.sessions()
        ids = self.ids([text], None, watch)
        if not ids[0]:
            return np.zeros((1, self._width), dtype=np.float32)
        return sessions.alone().run(VECTORS, np.array(ids, dtype=np.int64))

    def vectors(
        self,
        texts: Iterable[str],
        watch: Callable[[], Watch],
        on_progress: Callable[[int], object],
    ) -> Iterator[Vectors]:
        """The vectors of one window of texts after the other, (n, width), in order.

        Args:
            texts: The texts.
            watch: Gives, for each window, what is told of its texts that are over the limit.
            on_progress: Is told after each batch how many texts it held; the numbers add up to all.
        """
        cut = windows(texts, self._budget.window_characters, self._budget.window_texts)
        return flow((self._begin(window, at, watch()) for at, window in cut), self._width, on_progress)

    def _begin(self, texts: Sequence[str], begin: int, watch: Watch) -> Window:
        first: dict[str, int] = {}  # each different text is encoded once
        rows = [first.setdefault(check_text(text, begin + at), len(first)) for at, text in enumerate(texts)]
        ids, truncated = self._tokenizer.ids(list(first))
        cut = set(truncated)
        watch.see(begin + at for at, row in enumerate(rows) if row in cut)
        with self._lock:
            run = partial(self.sessions().shared().run, VECTORS)
            if self._workers is None:
                from concurrent.futures import ThreadPoolExecutor  # a lone text need not wait for it

                self._workers = ThreadPoolExecutor(self._budget.workers, thread_name_prefix="sestina")
            pool = self._workers
        return begin_window(pool, self._budget.workers, run, ids, self._budget.batch_tokens, rows)

    def hidden_states(self, ids: Sequence[Sequence[int]], d_model: int) -> list[Vectors]:
        """Hidden states of the last layer, (n_tokens, d_model) for each text."""
        session = self.sessions().alone()
        states = [np.zeros((0, d_model), dtype=np.float32) for _ in ids]
        for positions, batch in exact_length_batches(ids, self._budget.batch_tokens):
            for position, rows in zip(positions, session.run(STATES, batch), strict=True):
                states[position] = rows
        return states

    def inside(self, ids: Sequence[int], names: Sequence[str]) -> dict[str, Vectors]:
        """One text alone with everything the graph gives of it, each (1, ...) float32 by its name.

        Args:
            ids: Of its tokens; none give an empty result.
            names: Inner values of the graph, the same at every call.
        """
        session = self.sessions().inside(names)
        if not ids:
            return {}
        return session.run_for([VECTORS, STATES, *names], np.array([ids], dtype=np.int64))

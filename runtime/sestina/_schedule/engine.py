"""Texts to vectors under a memory budget, on all the cores there are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from sestina._errors import ClosedError
from sestina._process.fork import ForkLock, check_process, watch_forks
from sestina._process.native import calling, ending, opening
from sestina._schedule.batching import exact_length_batches
from sestina._schedule.budget import Budget
from sestina._schedule.pipeline import Window, begin_window, flow, windows
from sestina._schedule.reading import read_ids
from sestina._session.sessions import Sessions
from sestina._text.checked import check_text, text_or_null
from sestina._text.prompt import NO_PROMPT, Prompt
from sestina._text.tokenizer import Tokenizer, Tokens
from sestina._text.truncation import TruncationWatch, Watch

if TYPE_CHECKING:
    from sestina._arrays import Vectors
    from sestina._schedule.pipeline import Run
    from sestina._schedule.workers import Workers

    Runner = Callable[[int], Run]  # of the first token that is pooled, what runs a batch

T = TypeVar("T")

VECTORS, STATES = "sentence_embedding", "last_hidden_state"
_CLOSED = "this encoder is closed: load the bundle again"


class Engine:
    """The tokenizer, the sessions and the workers of one loaded bundle.

    Args:
        process: The one in which loading was begun (`this_process`).
        tokenizer: Of the bundle.
        sessions: Of its variant.
        budget: What runs at once.
        width: Of a vector.
        result: The output of the graph that has the vectors.
    """

    def __init__(
        self,
        process: object,
        tokenizer: Tokenizer,
        sessions: Sessions,
        budget: Budget,
        width: int,
        result: str = VECTORS,
    ) -> None:
        self._process = process
        self._tokenizer = tokenizer
        self._sessions: Sessions | None = sessions
        self._budget = budget
        self._width = width
        self._result = result
        self._lock = ForkLock()
        self._workers: Workers | None = None
        watch_forks(self)

    @property
    def tokenizer(self) -> Tokenizer:
        """Of the bundle."""
        return self._tokenizer

    def sessions(self) -> Sessions:
        """The open sessions.

        Raises:
            ClosedError: After `close`.
            ForkError: In a process that was forked from the one that loaded the bundle.
        """
        check_process(self._process)
        sessions = self._sessions
        if sessions is None:
            raise ClosedError(_CLOSED)
        return sessions

    def after_fork(self) -> None:
        """In a child: forget what only works in the parent."""
        self._sessions, self._workers = None, None

    def here(self, things: Iterable[T]) -> Iterator[T]:
        """Things as they come, as long as this is the process in which the bundle was loaded.

        A child that goes on with what its parent had begun shares the parent's place in a file or a socket:
        it takes nothing more from there.
        """
        check_process(self._process)
        for thing in things:
            yield thing
            check_process(self._process)

    def close(self) -> None:
        """Let go of the weights, and of the workers once they are done with what they run.

        Waits for nothing, so that a signal handler or a destructor may call it at any moment.
        """
        self._sessions = None
        workers, self._workers = self._workers, None
        if workers is not None:
            workers.close()

    def tokens(self, text: str, prompt: Prompt = NO_PROMPT) -> Tokens:
        """Everything there is to see about the tokens of one text and of what stands before it."""
        self.sessions()
        with calling:
            tokens = self._tokenizer.tokens(prompt.text + check_text(text))
        return tokens._replace(prompt=prompt.text)

    def prompt_tokens(self, prompt: str) -> int:
        """How many tokens before a text are those of a prompt."""
        self.sessions()
        with calling:
            return self._tokenizer.prompt_tokens(prompt)

    def ids(
        self, texts: Sequence[str | None], begin: int | None, watch: Watch, prompt: Prompt = NO_PROMPT
    ) -> list[list[int]]:
        """Token ids of texts, in order; none of a null and of an empty text, as `watch` says.

        Args:
            texts: The texts.
            begin: The position of the first in the caller's input, for messages; None for one lone text.
            watch: Is told of every text that is over the limit.
            prompt: What stands before each text.
        """
        nulls = watch.takes_null if begin is not None else False
        checked = [
            text_or_null(text, None if begin is None else begin + at, nulls=nulls)
            for at, text in enumerate(texts)
        ]
        ids, truncated, empty = read_ids(self._tokenizer, checked, watch, prompt)
        watch.see(None if begin is None else begin + at for at in truncated)
        watch.see_empty(None if begin is None else begin + at for at in empty)
        return ids

    def vector(self, text: str, watch: TruncationWatch, prompt: Prompt = NO_PROMPT) -> Vectors:
        """The vector of one text alone, (1, width), by the quickest path."""
        sessions = self.sessions()
        ids = self.ids([text], None, watch, prompt)
        if not ids[0]:
            return np.zeros((1, self._width), dtype=np.float32)
        return sessions.alone().run(self._result, np.array(ids, dtype=np.int64), prompt.pooled_from)

    def vectors(
        self,
        texts: Iterable[str | None],
        watch: Callable[[], Watch],
        on_progress: Callable[[int], object],
        prompt: Prompt = NO_PROMPT,
    ) -> Iterator[Vectors]:
        """The vectors of one window of texts after the other, (n, width), in order.

        Args:
            texts: The texts.
            watch: Gives, for each window, what is told of its texts that are over the limit.
            on_progress: Is told after each batch how many texts it held; the numbers add up to all.
            prompt: What stands before each text.
        """
        return flow(self._begin_all(texts, watch, prompt, self._run_of), self.blank, on_progress)

    def _begin_all(
        self, texts: Iterable[str | None], watch: Callable[[], Watch], prompt: Prompt, runner: Runner
    ) -> Iterator[Window]:
        budget, more = self._budget, len(prompt.text)
        cut = windows(texts, budget.window_characters, budget.window_texts, more)
        return (self._begin(window, at, watch(), prompt, runner) for at, window in cut)

    def _begin(
        self, texts: Sequence[str | None], begin: int, watch: Watch, prompt: Prompt, runner: Runner
    ) -> Window:
        first: dict[str | None, int] = {}  # each different text is encoded once
        nulls = watch.takes_null
        rows = [
            first.setdefault(text_or_null(text, begin + at, nulls=nulls), len(first))
            for at, text in enumerate(texts)
        ]
        ids, truncated, empty = read_ids(self._tokenizer, list(first), watch, prompt)
        for which, tell in ((truncated, watch.see), (empty, watch.see_empty)):
            told = set(which)
            tell(begin + at for at, row in enumerate(rows) if row in told)
        return self._begun(ids, rows, runner(prompt.pooled_from))

    def _begun(self, ids: Sequence[Any], rows: Sequence[int], run: Run) -> Window:
        """A window of different texts, given as what the graph reads of each, handed to the workers."""
        workers = None if ending() else self._lock.holding(self._have_workers)
        return begin_window(workers, self._budget.workers, run, ids, self._budget.batch_tokens, rows)

    def _run_of(self, start: int = 0) -> Run:
        session, result = self.sessions().shared(), self._result
        run = partial(session.run, result) if not start else lambda batch: session.run(result, batch, start)
        return self._as_kept(run)

    def blank(self, count: int) -> Vectors:
        """So many rows that say nothing, for vectors to be put in."""
        return np.zeros((count, self._width), dtype=np.float32)

    def _as_kept(self, run: Run) -> Run:
        """What gives a batch's vectors in the form in which they wait: as they are."""
        return run

    def _have_workers(self) -> Workers:
        workers = self._workers
        if workers is None:
            with opening:
                from sestina._schedule.workers import Workers  # a lone text need not wait for it

            workers = self._workers = Workers()
        return workers

    def hidden_states(self, ids: Sequence[Sequence[int]], width: int, output: str = STATES) -> list[Vectors]:
        """Hidden states, or another output of each token: (n_tokens, width) for each text."""
        states = [np.zeros((0, width), dtype=np.float32) for _ in ids]
        for position, rows in self.by_token(ids, output):
            states[position] = rows
        return states

    def by_token(
        self, ids: Sequence[Sequence[int]], output: str, attended: int = 0
    ) -> Iterator[tuple[int, Vectors]]:
        """The same as it comes: where a text stands, and its rows; nothing of a text without tokens. Of each
        text so many tokens are attended to (0: all).
        """
        sessions = self.sessions()
        session = sessions.alone() if output == self._result else sessions.whole()
        for positions, batch in exact_length_batches(ids, self._budget.batch_tokens):
            yield from zip(positions, session.run(output, batch, attended), strict=True)

    def inside(self, ids: Sequence[int], names: Sequence[str], pooled_from: int) -> dict[str, Vectors]:
        """One text alone with everything the graph gives of it, each (1, ...) float32 by its name.

        Args:
            ids: Of its tokens; none give an empty result.
            names: Inner values of the graph, the same at every call.
            pooled_from: The first token that is pooled.
        """
        session = self.sessions().inside(names)
        if not ids:
            return {}
        return session.run_for([VECTORS, STATES, *names], np.array([ids], dtype=np.int64), pooled_from)

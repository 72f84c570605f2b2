"""The two ways to use all cores, and when the weights are held for each.

Many batches: one session of one thread a run, and as many workers as cores calling it side by side. One
text alone: a session whose threads share every node of the run. The first has no barriers between nodes
and is 1.15 to 1.7 times as fast on a corpus; the second is up to 1.9 times as fast for one text.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from sestina._process.fork import ForkLock
from sestina._session.session import Run, Session

OpenIntrospection = Callable[[int, Sequence[str]], Session]


class Sessions:
    """Opens each kind of session when it is first needed.

    What onnxruntime packs of the weights is held twice only by a caller who does both: the session for
    single texts, open since the bundle was loaded, is let go if anything else comes before a single text.

    Args:
        open_session: Opens one whose runs share so many threads.
        open_introspection: Opens one with inner values as outputs too.
        threads: Threads that compute.
        open_whole: Opens one that gives outputs of each token, where those of `open_session` do not.
    """

    def __init__(
        self,
        open_session: Callable[[int], Run],
        open_introspection: OpenIntrospection,
        threads: int,
        open_whole: Callable[[int], Run] | None = None,
    ) -> None:
        self._open, self._open_introspection = open_session, open_introspection
        self._open_whole = open_whole
        self._threads = threads
        self._lock = ForkLock()
        self._alone: Run | None = open_session(threads)
        self._shared: Run | None = self._alone if threads == 1 else None
        self._whole: Run | None = None
        self._whole_shared: Run | None = None
        self._inside: Session | None = None
        self._alone_was_used = self._shared_was_used = False

    @property
    def any(self) -> Run:
        """Whichever is open."""
        # In this order: one that is let go was followed by one further on.
        session = self._alone or self._shared or self._whole or self._whole_shared
        assert session is not None  # noqa: S101  one of them always is
        return session

    def alone(self) -> Run:
        """For one batch at a time: all threads work on it."""
        self._alone_was_used = True
        return self._alone or self._lock.holding(self._have_alone)

    def _have_alone(self) -> Run:
        if self._alone is None:
            self._alone = self._same(self._shared) or self._open(self._threads)
        return self._alone

    def shared(self) -> Run:
        """For many batches at once: each runs on the thread that calls."""
        self._shared_was_used = True
        return self._shared or self._lock.holding(self._have_shared)

    def _have_shared(self) -> Run:
        session = self._shared
        if session is None:
            session = self._shared = self._same(self._alone) or self._open(1)
            if not self._alone_was_used:
                self._alone = None
        return session

    def whole(self) -> Run:
        """For outputs of each token: `alone`, or one that holds the weights again where that has none."""
        if self._open_whole is None:
            return self.alone()
        return self._whole or self._lock.holding(self._have_whole)

    def _have_whole(self) -> Run:
        session = self._whole
        if session is None:
            assert self._open_whole is not None  # noqa: S101  else nobody comes here
            session = self._whole = self._same(self._whole_shared) or self._open_whole(self._threads)
            self._let_go()
        return session

    def whole_shared(self) -> Run:
        """The same for many batches at once: `shared`, or one that holds the weights once more."""
        if self._open_whole is None:
            return self.shared()
        return self._whole_shared or self._lock.holding(self._have_whole_shared)

    def _have_whole_shared(self) -> Run:
        session = self._whole_shared
        if session is None:
            assert self._open_whole is not None  # noqa: S101  else nobody comes here
            session = self._whole_shared = self._same(self._whole) or self._open_whole(1)
            self._let_go()
        return session

    def _same(self, session: Run | None) -> Run | None:
        """The one of the other kind, where there is no difference."""
        return session if self._threads == 1 else None

    def _let_go(self) -> None:
        """Of the session that was opened at load, if nobody has used it."""
        if not self._alone_was_used:
            self._alone = None
            if not self._shared_was_used:
                self._shared = None

    def inside(self, names: Sequence[str]) -> Session:
        """For looking inside: `alone` with inner values as outputs too. It holds the weights once more."""
        return self._lock.holding(partial(self._have_inside, names))

    def _have_inside(self, names: Sequence[str]) -> Session:
        session = self._inside
        if session is None:
            session = self._inside = self._open_introspection(self._threads, names)
        return session

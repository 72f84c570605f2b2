"""The two ways to use all cores, and when the weights are held for each.

Many batches: one session of one thread a run, and as many workers as cores calling it side by side. One
text alone: a session whose threads share every node of the run. The first has no barriers between nodes
and is 1.15 to 1.7 times as fast on a corpus; the second is up to 1.9 times as fast for one text.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Lock

from sestina._fork import never_destroy, watch_forks
from sestina._session import Run, Session

OpenInside = Callable[[int, Sequence[str]], Session]


class Sessions:
    """Opens each kind of session when it is first needed.

    What onnxruntime packs of the weights is held twice only by a caller who does both: the session for
    single texts, open since the bundle was loaded, is let go if a corpus comes before any single text has.

    Args:
        open_session: Opens one whose runs share so many threads.
        open_inside: Opens one with inner values as outputs too.
        threads: Threads that compute.
    """

    def __init__(self, open_session: Callable[[int], Run], open_inside: OpenInside, threads: int) -> None:
        self._open, self._open_inside = open_session, open_inside
        self._threads = threads
        self._lock = Lock()
        self._alone: Run | None = open_session(threads)
        self._shared: Run | None = self._alone if threads == 1 else None
        self._inside: Session | None = None
        self._alone_was_used = False
        watch_forks(self)

    def after_fork(self) -> None:
        """In a child: keep the sessions from being destroyed, which would wait for the parent's threads."""
        for session in (self._alone, self._shared, self._inside):
            if session is not None:
                never_destroy(session)

    @property
    def any(self) -> Run:
        """Whichever is open."""
        with self._lock:
            session = self._alone or self._shared
            assert session is not None  # noqa: S101  one of them always is
            return session

    def alone(self) -> Run:
        """For one batch at a time: all threads work on it."""
        with self._lock:
            self._alone_was_used = True
            if self._alone is None:
                self._alone = self._open(self._threads)
            return self._alone

    def shared(self) -> Run:
        """For many batches at once: each runs on the thread that calls."""
        with self._lock:
            if self._shared is None:
                self._shared = self._open(1)
                if not self._alone_was_used:
                    self._alone = None
            return self._shared

    def inside(self, names: Sequence[str]) -> Session:
        """For looking inside: `alone` with inner values as outputs too. It holds the weights once more."""
        with self._lock:
            if self._inside is None:
                self._inside = self._open_inside(self._threads, names)
            return self._inside

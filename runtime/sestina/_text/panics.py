"""What the tokenizers library itself prints where it panics, kept off a standard error that is ours.

Rust writes it to descriptor 2, past every `except`. In somebody else's process that is none of our business;
the command line, which promises one line for an error, has it hidden.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from threading import Lock

_STDERR = 2


class _Panics:
    """`with panics:` around calls of the library: nothing, unless they are to be hidden.

    Then descriptor 2 leads nowhere from the first call that begins to the last that ends.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._hide = False
        self._calls = 0
        self._kept: int | None = None

    @contextlib.contextmanager
    def hidden(self) -> Iterator[None]:
        """Inside the block they are."""
        self._hide = True
        try:
            yield
        finally:
            self._hide = False
            with self._lock:
                self._restore()  # should an interrupt have come between the two halves of one below

    def __enter__(self) -> None:
        if self._hide:
            with self._lock:
                self._calls += 1
                if self._kept is None:
                    self._divert()

    def __exit__(self, *_: object) -> None:
        if self._calls:
            with self._lock:
                self._calls -= 1
                if not self._calls:
                    self._restore()

    def _divert(self) -> None:
        with contextlib.suppress(OSError):  # where it is closed nothing can be seen of it
            kept = os.dup(_STDERR)
            try:
                nowhere = os.open(os.devnull, os.O_WRONLY)
            except OSError:
                os.close(kept)
                raise
            self._kept = kept
            os.dup2(nowhere, _STDERR)
            os.close(nowhere)

    def _restore(self) -> None:
        if self._kept is not None:
            os.dup2(self._kept, _STDERR)
            os.close(self._kept)
            self._kept = None
        self._calls = 0


panics = _Panics()

"""What is told of a run: counts from the encoders, progress from the tables that are whole."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pyarrow.parquet as pq

from sestina.integrations._ray.runs import Run


class Tally:
    """Counts what the encoders tell it; an actor on the node of the driver.

    A batch that was encoded where a node was lost later is encoded again and counted again.
    """

    def __init__(self) -> None:
        self._rows = self._cut = self._empty = self._null = 0
        self._tokens = self._seconds = 0.0
        self._restarted = 0

    def began(self, again: bool) -> None:
        """An encoder has, maybe in the place of one that was lost."""
        self._restarted += again

    def add(self, rows: int, tokens: float, seconds: float, cut: int, empty: int, null: int) -> None:
        """Of one batch: how much it was, how long it took, and texts that were cut, empty or null."""
        self._rows += rows
        self._tokens += tokens
        self._seconds += seconds
        self._cut += cut
        self._empty += empty
        self._null += null

    def told(self) -> dict[str, Any]:
        """All of it."""
        return {
            "rows": self._rows,
            "tokens": round(self._tokens),
            "encoder_seconds": self._seconds,
            "truncated": self._cut,
            "empty": self._empty,
            "null": self._null,
            "restarted": self._restarted,
        }


def settled(tally: Any, rows: int, get: Any) -> dict[str, Any]:
    """What a tally has once all batches of a run are in it: the last may come after the last table."""
    until = time.monotonic() + 2
    while True:
        told: dict[str, Any] = get(tally.told.remote())
        if told["rows"] >= rows or time.monotonic() > until:
            return told
        time.sleep(0.05)


@contextlib.contextmanager
def progress(run: Run, total: int, every: float | None) -> Iterator[None]:
    """Inside the block, standard error has a line for rows that were added, at most each so many seconds."""
    ended = threading.Event()
    known: dict[str, int] = {}
    begun = time.monotonic()
    first = done(run, known)

    def follow() -> None:
        last = first
        while not ended.wait(every):
            now = done(run, known)
            if now != last:
                rate = (now - first) / (time.monotonic() - begun)
                print(f"{now:,} of {total:,} rows, {rate:,.0f} rows/s", file=sys.stderr, flush=True)  # noqa: T201
                last = now

    thread = threading.Thread(target=follow, name="sestina progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def done(run: Run, known: dict[str, int]) -> int:
    """The rows of all tables that are whole; each is looked into once, and remembered in `known`."""
    for base in run.marks():
        if base not in known:
            with contextlib.suppress(OSError, ValueError):
                known[base] = pq.read_metadata(run.mark(base)).num_rows
    return sum(known.values())

"""What is told of a run: counts that encoders write beside its tables, progress from those that are whole."""

from __future__ import annotations

import contextlib
import json
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq

from sestina.integrations._ray.runs import Run, writable

COUNTED = ("rows", "tokens", "encoder_seconds", "truncated", "empty", "null", "restarted")


class Teller:
    """Where one encoder says what it has done, before what it has done is written.

    In files, as all of a run: an actor that counts would be one more process to start. A batch that was
    encoded where a node was lost later is encoded again and counted again.

    Args:
        folder: `Run.told`.
    """

    def __init__(self, folder: str) -> None:
        self._file = Path(folder) / f"{uuid.uuid4().hex}.jsonl"

    def tell(self, **counts: float) -> None:
        """Add to what was told.

        Args:
            counts: By names of `COUNTED`.

        Raises:
            OutputError: Where it cannot be written.
        """
        with writable(str(self._file.parent)), self._file.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(counts) + "\n")


def told(folder: Path) -> Counter[str]:
    """The sum of all that was told, by names of `COUNTED`; a line that `kill -9` cut off is no part of it."""
    found: Counter[str] = Counter(dict.fromkeys(COUNTED, 0))
    for file in sorted(folder.glob("*.jsonl")):
        for line in file.read_text("utf-8", "replace").splitlines():
            with contextlib.suppress(ValueError):
                found.update(json.loads(line))
    return found


@contextlib.contextmanager
def progress(run: Run, total: int, every: float | None) -> Iterator[None]:
    """Inside the block, standard error has a line for rows that were added, at most each so many seconds.

    Args:
        run: Whose tables are counted.
        total: Rows of the input.
        every: Seconds; None: there are no lines.
    """
    if every is None:
        yield
        return
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

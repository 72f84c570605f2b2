"""A masked graph of static shapes, run at a few lengths: the smallest that holds a text, the rest padded."""

from __future__ import annotations

from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from sestina._bundle.graph import Graph
from sestina._bundle.manifest import Variant
from sestina._errors import OptionError
from sestina._process.fork import ForkLock
from sestina._session.interface import TYPES
from sestina._session.placement import Placement
from sestina._session.session import Run, Session, Setting

if TYPE_CHECKING:
    from sestina._arrays import Ids, Vectors

_MOST_OPEN = 4  # sessions; each holds the weights, in what form the provider likes them


class BucketSession:
    """Sessions of one variant, one for each length that was needed, each for one text at a time.

    A text runs alone and what pads it is masked, so its vector depends on nothing else. Of more than a few
    sessions the one that was used longest ago is let go; it closes when its last run is done.
    """

    def __init__(
        self, variant: Variant, open_bucket: Callable[[int], Session], most_open: int = _MOST_OPEN
    ) -> None:
        self.variant = variant
        self._open = open_bucket
        self._most_open = most_open
        self._lock = ForkLock()
        self._sessions: OrderedDict[int, Session] = OrderedDict()
        first = self.session(variant.buckets[0])
        self.version = first.version

    def run(self, output: str, ids: Ids, start: int = 0) -> Vectors:
        """As `Run.run`: (B, S) or (B, S, 2) int64 -> (B, d) or (B, S, d) float32."""
        return self.run_for([output], ids, start)[output]

    def run_for(self, outputs: Sequence[str], ids: Ids, start: int = 0) -> dict[str, Vectors]:
        """As `Run.run_for`."""
        bucket = self.bucket(ids.shape[1])
        session = self.session(bucket)
        rows = [run_padded_for(session, outputs, row, bucket, start) for row in ids]
        return {output: np.concatenate([row[output] for row in rows]) for output in outputs}

    def bucket(self, length: int) -> int:
        """The smallest bucket that holds a text of so many tokens.

        Raises:
            OptionError: Where none does.
        """
        at = bisect_left(self.variant.buckets, length)
        if at == len(self.variant.buckets):
            raise OptionError(
                f"a text has {length} tokens; {self.variant.entry.file} takes {self.variant.buckets[-1]}"
            )
        return self.variant.buckets[at]

    def session(self, bucket: int) -> Session:
        """The open session of a bucket; others wait while one is opened, which may take minutes."""
        return self._lock.holding(partial(self._have, bucket))

    def _have(self, bucket: int) -> Session:
        session = self._sessions.pop(bucket, None)
        if session is None:
            if len(self._sessions) == self._most_open:  # before another is opened, for its memory
                self._sessions.popitem(last=False)
            session = self._open(bucket)
        self._sessions[bucket] = session
        return session

    def placement(self) -> Placement:
        """Of the session that was used last."""
        return self._lock.holding(lambda: next(reversed(self._sessions.values()))).placement()


def open_on_cpu(graph: Graph, variant: Variant, threads: int, *, states: bool = True) -> Run:
    """A variant on the CPU, opened as it is: a CPU's vectors are held to PyTorch by `verify`.

    Args:
        graph: Its graph.
        variant: What it is to be.
        threads: Threads that share each node of a run.
        states: Whether it is to give hidden states, too.
    """
    if variant.shapes == "static":
        return BucketSession(
            variant, lambda length: Session(graph, variant, Setting(threads=threads, length=length))
        )
    return Session(graph, variant, Setting(threads=threads, states=states))


def run_padded(session: Session, output: str, ids: Ids, bucket: int, start: int = 0) -> Vectors:
    """One text in a bucket.

    Args:
        session: Opened at this bucket.
        output: As `Run.run` has it.
        ids: (S,) or (S, 2), no longer than the bucket.
        bucket: The length that the session was opened for.
        start: As `Run.run` has it.

    Returns: (1, d) or (1, S, d) float32.
    """
    return run_padded_for(session, [output], ids, bucket, start)[output]


def run_padded_for(
    session: Session, outputs: Sequence[str], ids: Ids, bucket: int, start: int = 0
) -> dict[str, Vectors]:
    """The same for several outputs, by their names."""
    padded = np.zeros((3, 1, bucket), dtype=np.int32)  # ids, mask, types
    padded[1, 0, : len(ids) if session.pools_from else start or len(ids)] = 1
    feeds = {"input_ids": padded[0], "attention_mask": padded[1]}
    if ids.ndim == 1:
        padded[0, 0, : len(ids)] = ids
    else:
        padded[::2, 0, : len(ids)] = ids.T
        feeds[TYPES] = padded[2]
    found = session.feed_for(outputs, feeds, start)
    # Of each token those of the text, without padding.
    return {name: rows[:, : len(ids)] if rows.ndim == 3 else rows for name, rows in found.items()}

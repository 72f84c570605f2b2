"""An engine that reads pairs of texts: the same windows, batches and workers, of rows that hold two texts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sestina._process.native import calling
from sestina._schedule.budget import Budget
from sestina._schedule.engine import Engine
from sestina._schedule.pipeline import Window, flow, windows
from sestina._session.sessions import Sessions
from sestina._text.pairs import PairTokenizer
from sestina._text.truncation import Watch

if TYPE_CHECKING:
    from sestina._arrays import Vectors
    from sestina._text.pairs import Pair, Row


class PairEngine(Engine):
    """As `Engine`, of pairs that are checked already.

    Args:
        process, sessions, budget, width, result: As `Engine` has them.
        tokenizer: Of the bundle, for pairs.
    """

    def __init__(
        self,
        process: object,
        tokenizer: PairTokenizer,
        sessions: Sessions,
        budget: Budget,
        width: int,
        result: str,
    ) -> None:
        super().__init__(process, tokenizer, sessions, budget, width, result)
        self._pairs = tokenizer

    def pair_rows(self, pairs: Sequence[Pair], begin: int, watch: Watch) -> list[Row]:
        """What the graph reads of each pair; `watch` is told of those that were cut."""
        with calling:
            rows, cut = self._pairs.pair_rows(pairs)
        watch.see(begin + at for at in cut)
        return rows

    def pair_vectors(
        self, pairs: Iterable[Pair], watch: Callable[[], Watch], on_progress: Callable[[int], object]
    ) -> Iterator[Vectors]:
        """The result of one window of pairs after the other, (n, width), in order."""
        budget = self._budget
        cut = windows(pairs, budget.window_characters, budget.window_texts, kind=tuple, length=_characters)
        begun = (self._begin_pairs(window, at, watch()) for at, window in cut)
        return flow(begun, self.blank, on_progress)

    def lone_pair(self, pair: Pair, watch: Watch) -> Vectors:
        """The result of one pair alone, (1, width), by the quickest path."""
        sessions = self.sessions()
        (row,) = self.pair_rows([pair], 0, watch)
        if not len(row):
            return np.zeros((1, self._width), dtype=np.float32)
        return sessions.alone().run(self._result, np.array([row], dtype=np.int64))

    def _begin_pairs(self, pairs: Sequence[Pair], begin: int, watch: Watch) -> Window:
        first: dict[Pair, int] = {}  # each different pair is read once
        rows = [first.setdefault(pair, len(first)) for pair in pairs]
        with calling:
            ids, truncated = self._pairs.pair_rows(list(first))
        cut = set(truncated)
        watch.see(begin + at for at, row in enumerate(rows) if row in cut)
        return self._begun(ids, rows, self._run_of())


def _characters(pair: Any) -> int:
    return len(pair[0]) + len(pair[1])

"""The different texts of a call: each is encoded once, however often it occurs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from sestina._text.tokenizer import check_text
from sestina._text.truncation import TruncationWatch

if TYPE_CHECKING:
    from sestina._arrays import Ids, Vectors


class Distinct:
    """A sequence of texts without its repetitions.

    Attributes:
        texts: Each different text once, in the order in which it first occurs.

    Raises:
        TextTypeError, TextValueError: Where a member is not a valid Unicode str.
    """

    def __init__(self, texts: Iterable[object]) -> None:
        first: dict[str, int] = {}
        rows = [first.setdefault(check_text(text, at), len(first)) for at, text in enumerate(texts)]
        self.texts = list(first)
        self.repeated = len(rows) - len(first)
        self._rows: Ids = np.array(rows, dtype=np.int64)

    def watched(self, watch: TruncationWatch) -> RepeatWatch:
        """A watch that is told of different texts and passes on every place at which they occur."""
        return RepeatWatch(watch, self._rows)

    def spread(self, vectors: Vectors) -> Vectors:
        """(distinct, d) -> (n, d), in the order of the texts as given."""
        return vectors[self._rows] if self.repeated else vectors


class RepeatWatch:
    """`TruncationWatch` for texts that stand for several."""

    def __init__(self, watch: TruncationWatch, rows: Ids) -> None:
        self._watch, self._rows = watch, rows

    def see(self, positions: Iterable[int | None]) -> None:
        """Note different texts that are over the limit.

        Raises:
            TruncationError: As `TruncationWatch.see`.
        """
        cut: Sequence[int] = [position for position in positions if position is not None]
        self._watch.see(np.flatnonzero(np.isin(self._rows, cut)).tolist() if cut else ())

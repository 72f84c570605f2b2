"""The different texts of a call: each is encoded once, however often it occurs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from sestina._text.checked import text_or_null
from sestina._text.truncation import TruncationWatch

if TYPE_CHECKING:
    from sestina._arrays import Ids, Vectors


class Distinct:
    """A sequence of texts without its repetitions.

    Args:
        texts: The texts.
        nulls: Whether nulls are taken; None: nobody can ask for that.

    Attributes:
        texts: Each different text once, in the order in which it first occurs; None for nulls.

    Raises:
        TextTypeError, TextValueError: Where a member is not a valid Unicode str.
    """

    def __init__(self, texts: Iterable[object], *, nulls: bool | None) -> None:
        first: dict[str | None, int] = {}
        rows = [
            first.setdefault(text_or_null(text, at, nulls=nulls), len(first)) for at, text in enumerate(texts)
        ]
        self.texts = list(first)
        self.repeated = len(rows) - len(first)
        self._rows: Ids = np.array(rows, dtype=np.int64)

    def watched(self, watch: TruncationWatch) -> RepeatWatch:
        """A watch that is told of different texts and passes on every place at which they occur."""
        return RepeatWatch(watch, self._rows)

    def spread(self, vectors: Vectors) -> Vectors:
        """(distinct, d) -> (n, d), in the order of the texts as given."""
        return vectors[self._rows] if self.repeated else vectors

    def copies(self, matrices: Sequence[Vectors]) -> list[Vectors]:
        """The same of matrices of any heights: whoever changes one does not change that of an equal text."""
        given: set[int] = set()
        found = []
        for row in self._rows.tolist():
            found.append(matrices[row].copy() if row in given else matrices[row])
            given.add(row)
        return found


class RepeatWatch:
    """`TruncationWatch` for texts that stand for several."""

    def __init__(self, watch: TruncationWatch, rows: Ids) -> None:
        self._watch, self._rows = watch, rows
        self.takes_null, self.sees_empty = watch.takes_null, watch.sees_empty

    def see(self, positions: Iterable[int | None]) -> None:
        """Note different texts that are over the limit.

        Raises:
            TruncationError: As `TruncationWatch.see`.
        """
        self._watch.see(self._places(positions))

    def see_empty(self, positions: Iterable[int | None]) -> None:
        """Note different texts that are empty. Raises as `TextWatch.see_empty`."""
        self._watch.see_empty(self._places(positions))

    def _places(self, positions: Iterable[int | None]) -> Sequence[int]:
        """Where texts occur that are given by their positions among the different ones."""
        which: Sequence[int] = [position for position in positions if position is not None]
        places: list[int] = np.flatnonzero(np.isin(self._rows, which)).tolist() if which else []
        return places

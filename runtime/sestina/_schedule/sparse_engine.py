"""An engine of vectors as wide as a vocabulary: the rows of each batch are made sparse where it is run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sestina._schedule.engine import Engine
from sestina._text.prompt import NO_PROMPT, Prompt
from sestina._text.truncation import TruncationWatch

if TYPE_CHECKING:
    from sestina._arrays import Ids, Vectors
    from sestina._schedule.pipeline import Run


class SparseEngine(Engine):
    """As `Engine`, but that `vectors` gives (n,) arrays of `Row` in place of (n, width) numbers.

    A window of four thousand texts would else be half a gigabyte of zeros.
    """

    def row(self, text: str, watch: TruncationWatch, prompt: Prompt = NO_PROMPT) -> Any:
        """Of one text alone."""
        return compressed(self.vector(text, watch, prompt))[0]

    def blank(self, count: int) -> Any:
        """So many rows without a weight."""
        rows = np.empty(count, dtype=object)
        rows.fill((np.zeros(0, dtype=np.int32), np.zeros(0, dtype=np.float32)))
        return rows

    def _as_kept(self, run: Run) -> Run:
        def run_sparse(batch: Ids) -> Any:
            return compressed(run(batch))

        return run_sparse


def objects(rows: Sequence[Any]) -> Any:
    """(n,) objects, each a row as it is: of rows of one length numpy would make a matrix."""
    found = np.empty(len(rows), dtype=object)
    for at, row in enumerate(rows):
        found[at] = row
    return found


def compressed(vectors: Vectors) -> Any:
    """(n, width) float32 -> (n,) objects: the indices int32, ascending, and the weights of what is not 0."""
    rows = np.empty(len(vectors), dtype=object)
    for at, vector in enumerate(vectors):
        indices = np.flatnonzero(vector)
        rows[at] = indices.astype(np.int32), vector[indices]
    return rows

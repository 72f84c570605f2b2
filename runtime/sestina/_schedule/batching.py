"""Which texts run together: those of exactly one length, within a budget of tokens.

Texts of one length need neither padding nor a mask, so no token is ever computed for nothing and no
text's vector depends on its neighbours' lengths.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from sestina._arrays import Ids

    Batch = tuple[list[int], Ids]


def exact_length_batches(ids: Sequence[Sequence[Any]], max_tokens_per_batch: int) -> Iterator[Batch]:
    """Group token sequences by length, longest first.

    The longest come first so that the largest buffers are allocated once and then reused. Empty sequences
    are left out: there is nothing to run for them.

    Args:
        ids: Token ids of each text, (S,); or (S, 2) with the type of each beside it.
        max_tokens_per_batch: B * S of a batch does not exceed this, but for one text alone.

    Yields: positions of the texts, and their ids as one (B, S) or (B, S, 2) int64 array.
    """
    order = sorted((at for at in range(len(ids)) if len(ids[at])), key=lambda at: -len(ids[at]))
    begin = 0
    while begin < len(order):
        length = len(ids[order[begin]])
        limit = begin + max(1, max_tokens_per_batch // length)
        end = begin + 1
        while end < min(limit, len(order)) and len(ids[order[end]]) == length:
            end += 1
        positions = order[begin:end]
        yield positions, np.array([ids[at] for at in positions], dtype=np.int64)
        begin = end

"""Fixed lengths: which there are for a length limit, and texts padded to them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from sestina_export._graph.interface import INPUT, MASK, POOLED_FROM, TYPES

__all__ = ["LEAST", "buckets_for", "padded"]

LEAST = 16  # tokens; shorter texts gain nothing from a shape of their own


def buckets_for(max_tokens: int, least: int = LEAST) -> tuple[int, ...]:
    """Powers of two, and the limit itself: what is longer than the first is padded to less than twice that.

    Args:
        max_tokens: The limit.
        least: The first, where the limit is not below it.
    """
    lengths = []
    length = least
    while length < max_tokens:
        lengths.append(length)
        length *= 2
    return (*lengths, max_tokens)


def padded(
    ids: Sequence[Any], buckets: Sequence[int], pooled_from: int | None = None
) -> dict[str, npt.NDArray[np.int32]]:
    """One text as a masked graph takes it: ids and mask, (1, bucket) int32 each, in the smallest bucket.

    Of a pair whose tokens have types each member of `ids` is an id and a type.

    With `pooled_from`, which graphs take that leave prompts out, that too, (1,) int32.

    Raises:
        ValueError: Where it is longer than every bucket.
    """
    bucket = next((length for length in buckets if length >= len(ids)), None)
    if bucket is None:
        raise ValueError(f"a text of {len(ids)} tokens does not fit the buckets {tuple(buckets)}")
    row, mask = np.zeros((1, bucket), dtype=np.int32), np.zeros((1, bucket), dtype=np.int32)
    mask[0, : len(ids)] = 1
    feeds = {INPUT: row, MASK: mask}
    given = np.array(ids, dtype=np.int32)
    if given.ndim == 2:
        feeds[TYPES] = np.zeros_like(row)
        feeds[TYPES][0, : len(ids)], given = given[:, 1], given[:, 0]
    row[0, : len(ids)] = given
    return feeds if pooled_from is None else {**feeds, POOLED_FROM: np.array([pooled_from], dtype=np.int32)}

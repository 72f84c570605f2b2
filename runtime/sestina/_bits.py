"""Signs of vectors, eight a byte as `numpy.packbits` has them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from sestina._arrays import Vectors

    Packed = npt.NDArray[np.uint8]

_IN_A_BYTE = np.array([bin(byte).count("1") for byte in range(256)], np.uint8)


def packed_signs(rows: Vectors) -> Packed:
    """(n, d) as (n, ceil(d / 8)): a bit is set where a number is above 0; those beyond d are not."""
    return np.packbits(rows > 0, axis=1)


def signs(packed: Packed, dimensions: int) -> Vectors:
    """(n, ceil(d / 8)) as (n, d) float32 of 1 and -1."""
    bits = np.unpackbits(packed, axis=1, count=dimensions)
    return bits.astype(np.float32) * 2 - 1


def differing(packed: Packed, row: Packed) -> npt.NDArray[np.int64]:
    """In how many bits each of (n, w) differs from (w,): (n,)."""
    other = packed ^ row
    if hasattr(np, "bitwise_count"):  # numpy 2
        counted: npt.NDArray[np.int64] = np.bitwise_count(other).sum(1, dtype=np.int64)
        return counted
    looked_up: npt.NDArray[np.int64] = _IN_A_BYTE[other].sum(1, dtype=np.int64)
    return looked_up

"""How vectors are compared, by the names that bundles have for it: the higher, the more alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from sestina._errors import OptionError
from sestina._vectors import cosine, refuse_unfit

if TYPE_CHECKING:
    import numpy.typing as npt

    from sestina._arrays import Vectors

_NUMBERS = 1 << 20  # of differences that are held at once


def similarity(name: str, left: Vectors, right: Vectors) -> Vectors:
    """Every pair of rows compared: (n, d), (m, d) -> (n, m) float32.

    Args:
        name: "cosine", in [-1, 1], 0 where a row is zero; "dot", the dot product; "euclidean" and
            "manhattan", the distance with its sign turned.
        left: Of the rows of the result.
        right: Of its columns.

    Raises:
        OptionError: Where the widths differ, a row is not finite, or a result is beyond float32.
    """
    if name == "cosine":
        return cosine(left, right)
    if left.shape[1] != right.shape[1]:
        raise OptionError(
            f"vectors of {left.shape[1]} and {right.shape[1]} dimensions cannot be compared ({name})"
        )
    refuse_unfit(left)
    refuse_unfit(right)
    with np.errstate(over="ignore", invalid="ignore"):
        matrix: Vectors = _FUNCTIONS[name](left, right).astype(np.float32, copy=False)
    if not np.isfinite(matrix).all():
        raise OptionError(f"these vectors are too large to be compared in float32 ({name}): scale them down")
    return matrix


def _dot(left: Vectors, right: Vectors) -> npt.NDArray[np.floating]:
    product: npt.NDArray[np.floating] = left @ right.T
    if np.isfinite(product).all():
        return product
    exact: npt.NDArray[np.floating] = left.astype(np.float64) @ right.T.astype(np.float64)
    return exact


def _euclidean(left: Vectors, right: Vectors) -> npt.NDArray[np.floating]:
    distances = np.zeros((len(left), len(right)))
    for row, columns, differences in _differences(left, right):
        distances[row, columns] = np.sqrt(np.einsum("md,md->m", differences, differences))
    return -distances


def _manhattan(left: Vectors, right: Vectors) -> npt.NDArray[np.floating]:
    distances = np.zeros((len(left), len(right)))
    for row, columns, differences in _differences(left, right):
        distances[row, columns] = np.abs(differences).sum(1)
    return -distances


def _differences(left: Vectors, right: Vectors) -> Iterator[tuple[int, slice, npt.NDArray[np.float64]]]:
    """A row of the one less some rows of the other, in float64: (m', d), with where that belongs."""
    step = max(1, _NUMBERS // max(1, right.shape[1]))
    for begin in range(0, len(right), step):
        columns = slice(begin, begin + step)
        piece = right[columns].astype(np.float64)
        for row, vector in enumerate(left):
            yield row, columns, piece - vector


_FUNCTIONS: Mapping[str, Callable[[Vectors, Vectors], npt.NDArray[np.floating]]] = {
    "dot": _dot,
    "euclidean": _euclidean,
    "manhattan": _manhattan,
}

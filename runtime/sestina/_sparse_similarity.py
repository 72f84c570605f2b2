"""How sparse vectors are compared, by the names that bundles have for it: the higher, the more alike."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from sestina._errors import OptionError
from sestina._similarity import similarity as dense_similarity
from sestina._sparse_vectors import SparseVectors

if TYPE_CHECKING:
    import numpy.typing as npt

    from sestina._arrays import Vectors

_WEIGHTS = 1 << 20  # that are multiplied at once
_NUMBERS = 1 << 22  # of dense rows that are held at once


def similarity(name: str, left: SparseVectors, right: SparseVectors) -> Vectors:
    """Every pair of rows compared: (n, m) float32, as `_similarity.similarity` has the names.

    Raises:
        OptionError: Where they are of vocabularies of different sizes.
    """
    if name == "dot":
        return products(left, right)
    if name == "cosine":
        lengths = np.outer(_norms(left), _norms(right))
        cosines = _products(left, right) / np.where(lengths > 0, lengths, 1.0)
        clipped: Vectors = np.clip(cosines, -1, 1).astype(np.float32)
        return clipped
    _check(left, right)
    result = np.zeros((len(left), len(right)), dtype=np.float32)
    step = max(1, _NUMBERS // left.dimensions)
    for row in range(0, len(left), step):
        rows = left[row : row + step].to_dense()
        for column in range(0, len(right), step):
            columns = right[column : column + step].to_dense()
            result[row : row + step, column : column + step] = dense_similarity(name, rows, columns)
    return result


def products(left: SparseVectors, right: SparseVectors) -> Vectors:
    """The dot product of every pair of rows: (n, m) float32, each the same in any company.

    Raises:
        OptionError: Where they are of vocabularies of different sizes.
    """
    return _products(left, right).astype(np.float32)


def _products(left: SparseVectors, right: SparseVectors) -> npt.NDArray[np.float64]:
    """In float64, in which each product of two weights is exact."""
    _check(left, right)
    if len(left) > len(right):
        return _products(right, left).T
    result = np.zeros((len(left), len(right)))
    wide = np.zeros(left.dimensions)
    for begin, some in _blocks(right):
        rows = np.repeat(np.arange(len(some)), np.diff(some.starts))
        for at, row in enumerate(left):
            wide[row.indices] = row.weights
            result[at, begin : begin + len(some)] = np.bincount(
                rows, wide[some.indices] * some.weights, minlength=len(some)
            )
            wide[row.indices] = 0.0
    return result


def _blocks(rows: SparseVectors) -> Iterator[tuple[int, SparseVectors]]:
    """Rows in order, some at a time, with the first's place."""
    begin = 0
    while begin < len(rows):
        end = int(np.searchsorted(rows.starts, rows.starts[begin] + _WEIGHTS, side="right")) - 1
        end = min(max(end, begin + 1), len(rows))
        yield begin, rows[begin:end]
        begin = end


def _norms(rows: SparseVectors) -> npt.NDArray[np.float64]:
    squares = rows.weights.astype(np.float64) ** 2
    of = np.repeat(np.arange(len(rows)), np.diff(rows.starts))
    lengths: npt.NDArray[np.float64] = np.sqrt(np.bincount(of, squares, minlength=len(rows)))
    return lengths


def _check(left: SparseVectors, right: SparseVectors) -> None:
    if left.dimensions != right.dimensions:
        raise OptionError(
            f"sparse vectors of {left.dimensions} and {right.dimensions} dimensions cannot be compared: "
            "encode both with one bundle"
        )

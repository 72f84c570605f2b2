"""Arithmetic on compressed sparse rows: put together, pruned, multiplied, compared."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from sestina._errors import OptionError
from sestina._similarity import similarity as dense_similarity

if TYPE_CHECKING:
    import numpy.typing as npt

    from sestina._arrays import Vectors

    Indices = npt.NDArray[np.int32]
    Row = tuple[Indices, Vectors]  # ascending, and the weight of each

_WEIGHTS = 1 << 20  # that are multiplied at once
_NUMBERS = 1 << 22  # of dense rows that are held at once


class Rows(NamedTuple):
    """Rows one after the other: row i has what stands from starts[i] to starts[i + 1].

    Attributes:
        starts: (n + 1,) int64.
        indices: (m,) int32, ascending in each row.
        weights: (m,) float32.
        dimensions: Columns.
    """

    starts: npt.NDArray[np.int64]
    indices: Indices
    weights: Vectors
    dimensions: int

    @property
    def height(self) -> int:
        """N."""
        return len(self.starts) - 1

    def row(self, at: int) -> Row:
        """One of them."""
        some = slice(self.starts[at], self.starts[at + 1])
        return self.indices[some], self.weights[some]

    def some(self, begin: int, end: int) -> Rows:
        """Those of a range, which share these arrays."""
        starts = self.starts[begin : end + 1]
        inner = slice(starts[0], starts[-1])
        return Rows(starts - starts[0], self.indices[inner], self.weights[inner], self.dimensions)

    def numbers(self) -> npt.NDArray[np.int64]:
        """Of each weight the row that it is of."""
        return np.repeat(np.arange(self.height), np.diff(self.starts))

    def dense(self) -> Vectors:
        """(n, dimensions) float32."""
        dense = np.zeros((self.height, self.dimensions), dtype=np.float32)
        dense[self.numbers(), self.indices] = self.weights
        return dense


def gathered(rows: Sequence[Row], dimensions: int) -> Rows:
    """Rows put one after the other."""
    starts = np.zeros(len(rows) + 1, dtype=np.int64)
    np.cumsum([len(indices) for indices, _ in rows], out=starts[1:])
    indices = np.concatenate([np.zeros(0, dtype=np.int32), *(each for each, _ in rows)])
    weights = np.concatenate([np.zeros(0, dtype=np.float32), *(each for _, each in rows)])
    return Rows(starts, indices, weights, dimensions)


def pruned(row: Row, most: int | None) -> Row:
    """A row with its largest weights alone, of equal ones the first; None: with all."""
    indices, weights = row
    if most is None or len(indices) <= most:
        return row
    kept = np.sort(np.argsort(-weights, kind="stable")[:most])
    return indices[kept], weights[kept]


def each_its_own(rows: Iterable[Row]) -> Iterator[Row]:
    """Rows as they are, but for one that stood there before, as of equal texts: it is copied."""
    seen: dict[int, Row] = {}  # which holds them, so that no other gets the same number
    for row in rows:
        if id(row) in seen:
            yield row[0].copy(), row[1].copy()
        else:
            seen[id(row)] = row
            yield row


def similarity(name: str, left: Rows, right: Rows) -> Vectors:
    """Every pair of rows compared: (n, m) float32, by the names of `_similarity.similarity`.

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
    result = np.zeros((left.height, right.height), dtype=np.float32)
    step = max(1, _NUMBERS // left.dimensions)
    for row, end in _steps(left.height, step):
        rows = left.some(row, end).dense()
        for column, last in _steps(right.height, step):
            result[row:end, column:last] = dense_similarity(name, rows, right.some(column, last).dense())
    return result


def products(left: Rows, right: Rows) -> Vectors:
    """The dot product of every pair of rows: (n, m) float32, each the same in any company.

    Raises:
        OptionError: Where they are of vocabularies of different sizes.
    """
    return _products(left, right).astype(np.float32)


def _products(left: Rows, right: Rows) -> npt.NDArray[np.float64]:
    """In float64, in which each product of two weights is exact."""
    _check(left, right)
    if left.height > right.height:
        return _products(right, left).T
    result, wide = np.zeros((left.height, right.height)), np.zeros(left.dimensions)
    for begin, some in _blocks(right):
        numbers = some.numbers()
        for at in range(left.height):
            indices, weights = left.row(at)
            wide[indices] = weights
            sums = np.bincount(numbers, wide[some.indices] * some.weights, minlength=some.height)
            result[at, begin : begin + some.height] = sums
            wide[indices] = 0.0
    return result


def _blocks(rows: Rows) -> Iterator[tuple[int, Rows]]:
    """Rows in order, some at a time, with the first's place."""
    begin = 0
    while begin < rows.height:
        end = int(np.searchsorted(rows.starts, rows.starts[begin] + _WEIGHTS, side="right")) - 1
        end = min(max(end, begin + 1), rows.height)
        yield begin, rows.some(begin, end)
        begin = end


def _steps(count: int, step: int) -> Iterable[tuple[int, int]]:
    return ((begin, min(begin + step, count)) for begin in range(0, count, step))


def _norms(rows: Rows) -> npt.NDArray[np.float64]:
    squares = rows.weights.astype(np.float64) ** 2
    lengths: npt.NDArray[np.float64] = np.sqrt(np.bincount(rows.numbers(), squares, minlength=rows.height))
    return lengths


def _check(left: Rows, right: Rows) -> None:
    if left.dimensions != right.dimensions:
        raise OptionError(
            f"sparse vectors of {left.dimensions} and {right.dimensions} dimensions cannot be compared: "
            "encode both with one bundle"
        )

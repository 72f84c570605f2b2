"""How well documents answer queries, by a vector of each of their tokens: exact, within a ceiling of memory.

Each query meets each document by itself, so that no score depends on what else is compared.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from sestina._arguments import members
from sestina._errors import OptionError
from sestina._vectors import in_float32, plain_array

if TYPE_CHECKING:
    from sestina._arrays import Vectors

EMPTY = -1e9  # of a document without any vector: below all others, as sentence-transformers has it
ROOM = 64 << 20  # bytes of products at once


def maxsim_scores(
    queries: Sequence[Vectors], documents: Sequence[Vectors], *, mean: bool = False, room: int = ROOM
) -> Vectors:
    """(n queries, n documents) float32; see `maxsim_score`."""
    scores: Vectors = np.empty((len(queries), len(documents)), dtype=np.float32)
    for column, document in enumerate(documents):
        for row, query in enumerate(queries):
            scores[row, column] = maxsim_score(query, document, mean=mean, room=room)
    return scores


def maxsim_score(query: Vectors, document: Vectors, *, mean: bool = False, room: int = ROOM) -> float:
    """The sum, over the vectors of a query, of the highest product with any vector of the document.

    Args:
        query: (m, d) floats; of other kinds than float32 as many as are multiplied are turned into it.
        document: (n, d) floats.
        mean: Whether the sum is divided by m.
        room: Bytes of products at once; one of each vector of the query is the least.

    Raises:
        OptionError: Where the score is beyond float32.
    """
    count = max(1, len(query))
    if not len(document):
        return EMPTY / count if mean else EMPTY
    left: Vectors = query.astype(np.float32, copy=False)
    # The products, what they are compared with, and the vectors in float32.
    step = max(1, room // (8 * count + 4 * query.shape[1]))
    highest: Vectors = np.full(len(left), -np.inf, dtype=np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        for begin in range(0, len(document), step):
            some: Vectors = document[begin : begin + step].astype(np.float32, copy=False)
            np.maximum(highest, (left @ some.T).max(axis=1), out=highest)
        total = float(highest.sum())
    if not math.isfinite(total):
        raise OptionError(
            "the numbers of a query and a document are too large: their score is beyond float32"
        )
    return total / count if mean else total


def as_matrices(given: object, name: str, width: int) -> list[Vectors]:
    """A matrix or a sequence of them, each found to be one; none is copied.

    Args:
        given: Floats of shape (n, width).
        name: What it is, for errors.
        width: d.

    Raises:
        OptionError: Where something is no such matrix, some of it is masked, or float32 cannot hold a row.
    """
    lone = isinstance(given, np.ndarray) and given.ndim == 2
    listed = [given] if lone else members(given)
    if listed is None:
        raise OptionError(
            f"{name} is {type(given).__name__}; it must be a matrix (n, d) or a sequence of them"
        )
    found: list[Vectors] = []
    for at, each in enumerate(listed):
        what = name if lone else f"{name}[{at}]"
        if not isinstance(each, np.ndarray) or each.dtype.kind != "f" or each.shape[1:] != (width,):
            kind = getattr(each, "dtype", type(each).__name__)
            raise OptionError(
                f"{what} is {kind} of shape {getattr(each, 'shape', None)}; it must be floats of shape "
                f"(n, {width})"
            )
        matrix = plain_array(each, f"the rows of {what}")
        _, unfit = in_float32(matrix)
        if unfit is not None and unfit.small:
            raise OptionError(f"{what} row {unfit.row} is too small for float32: scale it up")
        if unfit is not None:
            raise OptionError(f"{what} has numbers that are not finite in float32: they have no order")
        found.append(matrix)
    return found

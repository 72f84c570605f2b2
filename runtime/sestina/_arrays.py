"""Kinds of arrays, for annotations: only type checkers import them, as `numpy.typing` delays a start."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]
Embeddings = npt.NDArray[Any]  # float32, or the form that was asked for
Ids = npt.NDArray[np.int64]


class Column(Protocol):
    """An array or Series of another library: for those of texts `_columns` has what they are."""

    def __len__(self) -> int:
        """How many it holds."""

    def __iter__(self) -> Iterator[Any]:
        """Its members."""

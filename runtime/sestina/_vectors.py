"""Arithmetic on finished vectors: normalise, shorten, compare."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sestina._errors import OptionError

Vectors = npt.NDArray[np.float32]


def unit_rows(rows: Vectors) -> Vectors:
    """(n, d) with every row divided by its L2 norm; a zero row stays zero."""
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    unit: Vectors = np.divide(rows, norms, out=np.zeros_like(rows), where=norms > 0)
    return unit


def shorten(rows: Vectors, width: int, normalize: bool) -> Vectors:
    """The first `width` dimensions of (n, d), of norm 1 again where `normalize` says so."""
    if width == rows.shape[1]:
        return rows
    short = np.ascontiguousarray(rows[:, :width])
    return unit_rows(short) if normalize else short


def as_rows(given: npt.NDArray[np.floating]) -> Vectors:
    """(d,) or (n, d) of any float type as (n, d) float32.

    Raises:
        OptionError: On any other shape or type.
    """
    if given.ndim not in (1, 2) or not np.issubdtype(given.dtype, np.floating):
        raise OptionError(
            f"vectors are {given.dtype} of shape {given.shape}; they must be floats of shape (d,) or (n, d)"
        )
    return np.atleast_2d(given).astype(np.float32)


def cosine(left: Vectors, right: Vectors) -> Vectors:
    """Cosine of every pair of rows: (n, d), (m, d) -> (n, m) in [-1, 1]; 0 where a row is zero.

    Raises:
        OptionError: Where the widths differ.
    """
    if left.shape[1] != right.shape[1]:
        raise OptionError(f"vectors of {left.shape[1]} and {right.shape[1]} dimensions have no cosine")
    matrix: Vectors = np.clip(unit_rows(left) @ unit_rows(right).T, -1.0, 1.0)
    return matrix

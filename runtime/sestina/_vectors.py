"""Arithmetic on finished vectors: normalise, shorten, compare."""

from __future__ import annotations

import contextlib
import warnings
from io import BytesIO
from tokenize import TokenError
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from sestina._errors import OptionError

if TYPE_CHECKING:
    import numpy.typing as npt

    from sestina._arrays import Vectors

_MAGIC = b"\x93NUMPY"


def unit_rows(rows: Vectors) -> Vectors:
    """(n, d) with every row divided by its L2 norm; a zero row stays zero."""
    return _unit(rows, _norms(rows))


def _norms(rows: Vectors) -> npt.NDArray[np.float64]:
    """(n, 1), in float64: the square of a float32 may be too large or too small for a float32."""
    squares = np.einsum("nd,nd->n", rows, rows, dtype=np.float64)
    norms: npt.NDArray[np.float64] = np.sqrt(squares)[:, np.newaxis]
    return norms


def _unit(rows: Vectors, norms: npt.NDArray[np.float64]) -> Vectors:
    with np.errstate(invalid="ignore"):  # a row that is not finite gives NaN
        unit: Vectors = np.divide(rows, norms, out=np.zeros_like(rows), where=norms != 0, casting="same_kind")
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
        OptionError: On any other shape or type, and on rows that float32 cannot hold.
    """
    if given.ndim not in (1, 2) or not np.issubdtype(given.dtype, np.floating):
        raise OptionError(
            f"vectors are {given.dtype} of shape {given.shape}; they must be floats of shape (d,) or (n, d)"
        )
    rows = np.atleast_2d(given)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        single: Vectors = rows.astype(np.float32)
    _check_finite(single)
    lost = np.flatnonzero(~single.any(axis=1) & rows.any(axis=1))
    if lost.size:
        raise OptionError(f"vector {lost[0]} is too small for float32: scale it up")
    return single


def _check_finite(rows: Vectors) -> None:
    bad = np.flatnonzero(~np.isfinite(rows).all(axis=1))
    if bad.size:
        raise OptionError(f"vector {bad[0]} is not finite in float32: a cosine needs finite numbers")


def cosine(left: Vectors, right: Vectors) -> Vectors:
    """Cosine of every pair of rows: (n, d), (m, d) -> (n, m) in [-1, 1]; 0 where a row is zero.

    Raises:
        OptionError: Where the widths differ, or a row is not finite.
    """
    if left.shape[1] != right.shape[1]:
        raise OptionError(f"vectors of {left.shape[1]} and {right.shape[1]} dimensions have no cosine")
    sides = []
    for rows in (left, right):
        norms = _norms(rows)
        if not np.isfinite(norms).all():
            _check_finite(rows)
        sides.append(_unit(rows, norms))
    matrix: Vectors = np.clip(sides[0] @ sides[1].T, -1.0, 1.0)
    return matrix


def load_array(source: str | BytesIO, mmap_mode: Literal["r"] | None = None) -> npt.NDArray[Any]:
    """The array of a .npy file, without a word from numpy on standard error.

    Raises:
        ValueError: Where the content is not a whole .npy file, or holds no array.
        OSError: Where the file cannot be read.
    """
    with contextlib.nullcontext(source) if isinstance(source, BytesIO) else open(source, "rb") as stream:
        magic = stream.read(len(_MAGIC))
        stream.seek(0)
    if magic != _MAGIC:  # numpy would try it as an archive and as a pickle
        raise ValueError("it holds several arrays" if magic.startswith(b"PK") else "it does not begin as one")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            array = np.load(source, mmap_mode=mmap_mode, allow_pickle=False)
    except (EOFError, MemoryError, OverflowError, RecursionError, SyntaxError, TypeError) as error:
        raise ValueError(str(error) or type(error).__name__) from None
    except (TokenError, KeyError, AttributeError) as error:
        raise ValueError(str(error)) from None
    loaded: npt.NDArray[Any] = array
    return loaded

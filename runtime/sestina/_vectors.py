"""Arithmetic on finished vectors: normalise, shorten, compare."""

from __future__ import annotations

import contextlib
import warnings
from io import SEEK_END, BytesIO
from tokenize import TokenError
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, NoReturn

import numpy as np

from sestina._errors import OptionError
from sestina._handlers import let_through
from sestina._quote import quote

if TYPE_CHECKING:
    import numpy.typing as npt

    from sestina._arrays import Vectors

_MAGIC = b"\x93NUMPY"
_LEAST_SQUARE, _MOST_SQUARE = 1e-30, 1e30  # between them a float32 keeps the digits of squares and products


def unit_rows(rows: Vectors) -> Vectors:
    """(n, d) with every row divided by its L2 norm; a zero row stays zero."""
    return _unit(rows, norms_of(rows))


def norms_of(rows: Vectors) -> npt.NDArray[np.float64]:
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


def plain_array(given: object, what: str) -> npt.NDArray[Any]:
    """What was given as an array of numpy's own type: no subclass has an arithmetic of its own here.

    Raises:
        OptionError: Where some of it is masked, or it cannot be read as an array; `what` it is.
    """
    if type(given) is np.ndarray:
        return given
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # numpy warns where it takes what is masked for a number
            rows = given if isinstance(given, list | tuple) else ()
            masked = np.ma.is_masked(given) or any(map(np.ma.is_masked, rows))
            array = np.asarray(given)
    except Exception as error:
        let_through(error)
        raise OptionError(
            f"{what} are {type(given).__name__}, which cannot be read as an array ({quote(error)}): pass an "
            "array, of a tensor what .detach().cpu().float().numpy() gives"
        ) from error
    if masked:
        raise OptionError(
            f"{what} have masked values: a cosine needs every number; fill them or leave them out"
        )
    return array


def as_rows(given: npt.NDArray[Any]) -> Vectors:
    """(d,) or (n, d) of any float type as (n, d) float32.

    Raises:
        OptionError: On any other shape or type, on masked values, and on rows that float32 cannot hold.
    """
    rows = plain_array(given, "vectors")
    if rows.ndim not in (1, 2) or not np.issubdtype(rows.dtype, np.floating):
        raise OptionError(
            f"vectors are {rows.dtype} of shape {rows.shape}; they must be floats of shape (d,) or (n, d)"
        )
    single, unfit = in_float32(np.atleast_2d(rows))
    if unfit is not None:
        _refuse(unfit)
    return single


class Unfit(NamedTuple):
    """A row that float32 cannot hold: which, and whether it is too small, or else not finite."""

    row: int
    small: bool


def _refuse(unfit: Unfit, named: str = "vector {}", first: int = 0) -> NoReturn:
    name = named.format(first + unfit.row)
    if unfit.small:
        raise OptionError(f"{name} is too small for float32: scale it up")
    raise OptionError(f"{name} is not finite in float32: a cosine needs finite numbers")


def in_float32(rows: npt.NDArray[np.floating]) -> tuple[Vectors, Unfit | None]:
    """(n, d) of any float type in float32, and the first row that does not survive it, if any.

    A row does not where a number is not finite, or where all are so small that float32 keeps few of their
    digits or none: their cosine would be wrong, or 0.
    """
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        single: Vectors = np.asarray(rows).astype(np.float32, copy=False)
    bad = np.flatnonzero(~np.isfinite(single).all(axis=1))
    if bad.size:
        return single, Unfit(int(bad[0]), small=False)
    if rows.dtype.itemsize > single.dtype.itemsize and rows.shape[1]:
        largest = np.abs(rows).max(axis=1)
        lost = np.flatnonzero((largest > 0) & (largest < np.finfo(np.float32).tiny))
        if lost.size:
            return single, Unfit(int(lost[0]), small=True)
    return single, None


def cosine(left: Vectors, right: Vectors) -> Vectors:
    """Cosine of every pair of rows: (n, d), (m, d) -> (n, m) in [-1, 1]; 0 where a row is zero.

    Raises:
        OptionError: Where the widths differ, or a row is not finite.
    """
    if left.shape[1] != right.shape[1]:
        raise OptionError(f"vectors of {left.shape[1]} and {right.shape[1]} dimensions have no cosine")
    if len(left) > len(right):
        return np.ascontiguousarray(cosine(right, left).T)
    unit = _checked_unit(left)
    # The larger side is neither copied nor squared in float64: its rows are divided after the product.
    squares = np.einsum("nd,nd->n", right, right)
    zero = squares == 0
    usual = (zero | ((squares > _LEAST_SQUARE) & (squares < _MOST_SQUARE))).all() and not right[zero].any()
    if usual:
        matrix: Vectors = unit @ right.T
        matrix *= np.divide(1, np.sqrt(squares), out=np.zeros_like(squares), where=~zero)
    else:
        matrix = unit @ _checked_unit(right).T
    return np.clip(matrix, -1.0, 1.0, out=matrix)


def _checked_unit(rows: Vectors) -> Vectors:
    norms = norms_of(rows)
    if not np.isfinite(norms).all():
        refuse_unfit(rows)
    return _unit(rows, norms)


def refuse_unfit(rows: npt.NDArray[Any], named: str = "vector {}", first: int = 0) -> None:
    """Refuse (n, d) of any float type where float32 cannot hold a row.

    Args:
        rows: The rows.
        named: What one is called by its number.
        first: The number of the first.

    Raises:
        OptionError: Naming the first such row.
    """
    _, unfit = in_float32(rows)
    if unfit is not None:
        _refuse(unfit, named, first)


def load_array(source: str | BytesIO, mmap_mode: Literal["r"] | None = None) -> npt.NDArray[Any]:
    """The array of a .npy file, without a word from numpy on standard error.

    Raises:
        ValueError: Where the content is not a whole .npy file, or holds no array; where what is mapped has
            something after it, such as a second array.
        OSError: Where the file cannot be read.
    """
    with contextlib.nullcontext(source) if isinstance(source, BytesIO) else open(source, "rb") as stream:
        magic, end = stream.read(len(_MAGIC)), stream.seek(0, SEEK_END)
        stream.seek(0)
    if magic != _MAGIC:  # numpy would try it as an archive and as a pickle
        raise ValueError("it holds several arrays" if magic.startswith(b"PK") else "it does not begin as one")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            array = np.load(source, mmap_mode=mmap_mode, allow_pickle=False)
    except (EOFError, MemoryError, OverflowError, RecursionError, SyntaxError, TypeError) as error:
        let_through(error)
        raise ValueError(str(error) or type(error).__name__) from None
    except (TokenError, KeyError, AttributeError) as error:
        let_through(error)
        raise ValueError(str(error)) from None
    if isinstance(array, np.memmap) and array.offset + array.nbytes < end:
        raise ValueError(f"{end - array.offset - array.nbytes} bytes stand after its array: save one array")
    loaded: npt.NDArray[Any] = array
    return loaded

"""Goldens of what a bundle gives of tokens beside vectors, and the comparison with this machine."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
import numpy.typing as npt

from sestina._bundle.bundle import Bundle
from sestina._bundle.manifest import GOLDEN
from sestina._bundle.results import GOLDENS, MOST_ROWS, MULTI_VECTOR, SPARSE, Results
from sestina._errors import BundleError, BundleFormatError
from sestina._handlers import let_through
from sestina._vectors import load_array

Found = dict[str, Any]  # by name: of sparse (indices, weights), of multi-vector (m, d)


def read_result_goldens(bundle: Bundle, results: Results) -> list[Found]:
    """What each golden of a bundle must give; of multi-vector nothing where its text is too long for that.

    Raises:
        BundleFormatError: Where golden.json and the files of results do not fit each other or the contract.
    """
    try:
        items = json.loads(bundle.read(GOLDEN))["goldens"]
        found: list[Found] = [{} for _ in items]
        if results.sparse is not None:
            weights = _array(bundle, SPARSE, ())
            places = [_indices(at, item, results.sparse.dimensions) for at, item in enumerate(items)]
            for own, indices, part in zip(found, places, _split(weights, places, SPARSE), strict=True):
                own[SPARSE] = indices, part
        if results.multi_vector is not None:
            rows = _array(bundle, MULTI_VECTOR, (results.multi_vector.dimensions,))
            told = [_rows(at, item, results.multi_vector.first) for at, item in enumerate(items)]
            counts = [range(each or 0) for each in told]
            for own, count, part in zip(found, told, _split(rows, counts, MULTI_VECTOR), strict=True):
                if count is not None:
                    own[MULTI_VECTOR] = part
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        let_through(error)
        if isinstance(error, BundleError):
            raise
        why = " ".join(str(error).split())[:300]
        raise BundleFormatError(f"{bundle.where(GOLDEN)} cannot be read: {why}") from None
    return found


def result_distance(found: Found, golden: Found) -> float:
    """Largest absolute difference of all that a golden has; NaN where one is not finite or misshapen.

    That of weights is in proportion to the largest of the text, where it is above 1.
    """
    errors = [0.0]
    if SPARSE in golden:
        (mine, weights), (theirs, wanted) = found[SPARSE], golden[SPARSE]
        both = np.union1d(mine, theirs)
        spread = np.zeros((2, len(both)))
        spread[0, np.searchsorted(both, mine)] = weights
        spread[1, np.searchsorted(both, theirs)] = wanted
        largest = max(1.0, float(wanted.max(initial=0.0)))
        errors.append(float(np.abs(spread[0] - spread[1]).max(initial=0.0)) / largest)
    if MULTI_VECTOR in golden:
        mine, wanted = found[MULTI_VECTOR], golden[MULTI_VECTOR]
        if mine.shape != wanted.shape:
            return float("nan")
        errors.append(float(np.abs(np.subtract(mine, wanted, dtype=np.float64)).max(initial=0.0)))
    return float(np.max(errors))  # of which NaN is the largest


def _array(bundle: Bundle, name: str, rest: tuple[int, ...]) -> npt.NDArray[np.float32]:
    array = load_array(io.BytesIO(bundle.read(GOLDENS[name])))
    if array.dtype != np.float32 or array.ndim != 1 + len(rest) or array.shape[1:] != rest:
        raise ValueError(
            f"{GOLDENS[name]} holds {array.dtype} of shape {array.shape}; it must be float32 {rest}"
        )
    if not np.isfinite(array).all():
        raise ValueError(f"{GOLDENS[name]} holds numbers that are not finite")
    return array


def _split(rows: npt.NDArray[np.float32], parts: list[Any], name: str) -> list[npt.NDArray[np.float32]]:
    ends = np.cumsum([len(part) for part in parts])
    if not len(ends) or ends[-1] != len(rows):
        raise ValueError(f"{GOLDENS[name]} has {len(rows)} rows; the goldens say another number")
    return np.split(rows, ends[:-1])


def _indices(at: int, item: Any, width: int) -> npt.NDArray[np.int32]:
    given = item.get("indices")
    whole = isinstance(given, list) and all(type(each) is int and 0 <= each < width for each in given)
    if not whole or given != sorted(set(given)):
        raise ValueError(f"golden {at} needs indices, ascending and below {width}")
    return np.array(given, dtype=np.int32)


def _rows(at: int, item: Any, first: int) -> int | None:
    """How many there are: a row for each token from `first` on, and none of a text that is too long."""
    given, tokens = item.get("rows"), len(item["ids"])
    if given is None and tokens > MOST_ROWS:
        return None
    if type(given) is not int or given != max(0, tokens - first):
        raise ValueError(
            f"golden {at} has {given!r:.40} rows; of {tokens} tokens there are {max(0, tokens - first)}"
        )
    return given

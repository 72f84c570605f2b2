"""What an output of each token becomes for a text: a weight of each of its ids, or its matrix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sestina._bundle.results import MULTI_VECTOR, SPARSE, Results
from sestina._errors import BundleFormatError

if TYPE_CHECKING:
    from sestina._arrays import Ids, Vectors


def finished(name: str, results: Results, ids: Ids, result: Vectors) -> Any:
    """One text's share of an output.

    Args:
        name: Which: of sparse (indices, weights), of multi-vector (m, d); of others it is as it is.
        results: Of the bundle.
        ids: (S,), at least one.
        result: (S, width), or (d,).

    Raises:
        BundleFormatError: Where the tokenizer gives an id that sparse vectors have no dimension for.
    """
    if name == SPARSE and results.sparse is not None:
        indices, weights = heaviest(ids, result[:, 0], results.sparse.skip)
        # Whatever reads a row that reaches beyond its width reads memory that is not its own.
        if len(indices) and indices[-1] >= results.sparse.dimensions:
            raise BundleFormatError(
                f"the tokenizer gives the id {indices[-1]}; this bundle's sparse vectors have "
                f"{results.sparse.dimensions} dimensions: export it again"
            )
        return indices, weights
    if name == MULTI_VECTOR and results.multi_vector is not None:
        return result[results.multi_vector.first :].copy()  # which does not hold the whole batch
    return result


def heaviest(ids: Ids, weights: Vectors, skip: Sequence[int]) -> Any:
    """Of each token id the weight of the heaviest of its places, where that is above 0.

    Args:
        ids: (S,), at least one.
        weights: (S,).
        skip: Ids that are left out.

    Returns: ids int32, ascending, and weights float32.
    """
    found, places = np.unique(ids, return_inverse=True)
    most = np.zeros(len(found), dtype=np.float32)
    np.maximum.at(most, places, weights)
    kept = (most > 0) & ~np.isin(found, skip)
    return found[kept].astype(np.int32), most[kept]

"""Goldens: texts, their ids and their vectors as PyTorch made them, and the comparison with this machine."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from sestina._bundle.bundle import Bundle
from sestina._bundle.manifest import GOLDEN, GOLDEN_VECTORS
from sestina._errors import BundleError, BundleFormatError
from sestina._handlers import let_through
from sestina._vectors import load_array

_MOST_ID = (1 << 31) - 1


@dataclass(frozen=True, slots=True)
class Golden:
    """One reference.

    Attributes:
        name: What it is called.
        text: Its text; of a pair the first.
        ids: The token ids of the prompt and the text, or of both texts.
        vector: (d,) float32; of tasks by token (S, d).
        prompt: What stands before the text.
        pooled_from: The first token that is pooled.
        pair: The second text of a pair; None: there is one alone.
        types: Of each token the text of the pair that it is of; empty: the graph is not told.
        role: "query" or "document", where these are read apart; its prompt stands before the text.
        attended: How many tokens are attended to; 0: all.
    """

    name: str
    text: str
    ids: tuple[int, ...]
    vector: npt.NDArray[np.float32]
    prompt: str = ""
    pooled_from: int = 0
    pair: str | None = None
    types: tuple[int, ...] = ()
    role: str = ""
    attended: int = 0

    @property
    def start(self) -> int:
        """What a graph is told besides the tokens, as `Run.run` has it."""
        return self.attended or self.pooled_from

    @property
    def tokens(self) -> list[Any]:
        """As a graph is fed with them: (S,) ids, or (S, 2) with their types."""
        return [[*pair] for pair in zip(self.ids, self.types, strict=True)] if self.types else [*self.ids]


@dataclass(frozen=True, slots=True)
class GoldenResult:
    """How one golden came out here.

    Attributes:
        name: Which golden.
        passed: Whether ids are equal and the vector is within the tolerance.
        ids_equal: Whether the text has the same token ids here.
        error: Largest absolute difference from PyTorch's vector.
    """

    name: str
    passed: bool
    ids_equal: bool
    error: float


@dataclass(frozen=True, slots=True)
class Verification:
    """How all goldens came out on this machine, provider and variant.

    Attributes:
        passed: Whether every golden passed.
        worst_error: Largest absolute difference from PyTorch over all goldens.
        tolerance: What the variant's manifest entry allows.
        goldens: One result per golden.
    """

    passed: bool
    worst_error: float
    tolerance: float
    goldens: tuple[GoldenResult, ...]


def read_goldens(bundle: Bundle) -> list[Golden]:
    """The goldens of a bundle.

    Raises:
        BundleFormatError: Where golden.json and golden.npy do not fit each other or the contract.
    """
    try:
        document = json.loads(bundle.read(GOLDEN))
        vectors = load_array(io.BytesIO(bundle.read(GOLDEN_VECTORS)))
        sparse, width = bundle.manifest.task == "sparse", bundle.manifest.contract.dimensions
        if vectors.ndim != 2 - sparse:
            axes = "(weights,)" if sparse else "(n, dimensions)"
            raise ValueError(f"{GOLDEN_VECTORS} has the shape {vectors.shape}; it must be {axes}")
        items = document["goldens"]
        rows: Iterable[npt.NDArray[np.float32]]
        if sparse:
            rows = _spread(items, vectors, width)
        else:
            rows = _by_token(items, vectors) if bundle.manifest.by_token else vectors
        goldens = [
            _golden(at, item, vector, pairs=bundle.manifest.task == "rerank")
            for at, (item, vector) in enumerate(zip(items, rows, strict=True))
        ]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        let_through(error)
        if isinstance(error, BundleError):
            raise
        why = " ".join(str(error).split())[:300]
        raise BundleFormatError(f"{bundle.where(GOLDEN)} cannot be read: {why}") from None
    if not goldens:
        raise BundleFormatError(f"{bundle.where(GOLDEN)} cannot be read: it has no goldens")
    if vectors.dtype != np.float32 or vectors.shape[1:] != (() if sparse else (width,)):
        raise BundleFormatError(
            f"{bundle.where(GOLDEN_VECTORS)} holds {vectors.dtype} of shape {vectors.shape}; it must hold "
            f"float32{'' if sparse else f' of width {width}'}"
        )
    if any(bool(golden.role) != (bundle.manifest.task == "multi-vector") for golden in goldens):
        raise BundleFormatError(
            f"{bundle.where(GOLDEN)} cannot be read: goldens have a role just where the task is multi-vector"
        )
    if any(golden.ids and bool(golden.types) != bundle.manifest.token_types for golden in goldens):
        raise BundleFormatError(
            f"{bundle.where(GOLDEN)} cannot be read: goldens have types just where graphs take them"
        )
    if not np.isfinite(vectors).all():
        raise BundleFormatError(f"{bundle.where(GOLDEN_VECTORS)} holds numbers that are not finite")
    return goldens


def _by_token(items: list[Any], rows: npt.NDArray[np.float32]) -> list[npt.NDArray[np.float32]]:
    """The rows of each golden, as many as it has ids."""
    ends = np.cumsum([len(item["ids"]) for item in items])
    if not len(ends) or ends[-1] != len(rows):
        raise ValueError(f"{GOLDEN_VECTORS} has {len(rows)} rows; it must have one for each id")
    return np.split(rows, ends[:-1])


def _spread(items: list[Any], weights: npt.NDArray[np.float32], width: int) -> list[npt.NDArray[np.float32]]:
    """The vectors (width,) of sparse goldens, each of which says where its weights are."""
    places = [
        _numbers(at, "indices", item.get("indices") if isinstance(item, dict) else None)
        for at, item in enumerate(items)
    ]
    if sum(map(len, places)) != len(weights):
        raise ValueError(f"{GOLDEN_VECTORS} has {len(weights)} weights; it must have one for each index")
    rows, begin = [], 0
    for at, indices in enumerate(places):
        if any(one >= other for one, other in pairwise((*indices, width))):
            raise ValueError(f"golden {at} needs indices, ascending and below {width}")
        row = np.zeros(width, dtype=weights.dtype)
        row[list(indices)] = weights[begin : begin + len(indices)]
        begin += len(indices)
        rows.append(row)
    return rows


def _golden(at: int, item: object, vector: npt.NDArray[np.float32], *, pairs: bool) -> Golden:
    """One entry, in which nothing is taken for something else: not null for a text, nor true for an id."""
    members = item if isinstance(item, dict) else {}
    name, text, ids = (members.get(each) for each in ("name", "text", "ids"))
    if not isinstance(name, str) or not isinstance(text, str):
        raise TypeError(f"golden {at} needs a name and a text, each a string")
    prompt, start = members.get("prompt", ""), members.get("pooled_from", 0)
    if not isinstance(prompt, str) or type(start) is not int or not 0 <= start <= _MOST_ID:
        raise ValueError(
            f"golden {at} has a prompt that is no string, or a pooled_from that is no whole number"
        )
    pair, types = (members.get("pair"), members.get("types", [])) if pairs else (None, [])
    if pairs and not isinstance(pair, str):
        raise TypeError(f"golden {at} needs a pair, the second text, which is a string")
    f"{name}{text}{prompt}{pair}".encode()  # lone surrogates are a ValueError too
    ids, types = _numbers(at, "ids", ids), _numbers(at, "types", types)
    role, attended = members.get("role", ""), members.get("attended", 0)
    if role not in ("", "query", "document") or type(attended) is not int or not 0 <= attended <= len(ids):
        raise ValueError(f"golden {at} has a role that is none, or attended is no number of its ids")
    if types and len(types) != len(ids):
        raise ValueError(f"golden {at} has {len(types)} types for {len(ids)} ids")
    return Golden(name, text, ids, vector, prompt, start, pair, types, role, attended)


def _numbers(at: int, name: str, found: object) -> tuple[int, ...]:
    if not isinstance(found, list) or not all(type(each) is int and 0 <= each <= _MOST_ID for each in found):
        raise ValueError(f"golden {at} needs {name}, a list of whole numbers from 0")
    return tuple(found)


def by_golden(goldens: Sequence[Golden], rows: npt.NDArray[np.float32]) -> list[npt.NDArray[np.float32]]:
    """Rows of all tokens, one text after the other, as those of each golden."""
    return np.split(rows, np.cumsum([len(golden.ids) for golden in goldens])[:-1])


def distance(vectors: npt.NDArray[np.float32], golden: Golden) -> float:
    """Largest absolute difference of (d,) or (n, d) from a golden's vector; NaN where one is not finite, or a
    text has another number of tokens.
    """
    of_one = vectors.shape[max(0, vectors.ndim - golden.vector.ndim) :]
    if of_one != golden.vector.shape:
        return float("nan")
    if not np.isfinite(vectors).all():  # a signalling NaN would have numpy warn
        return float("nan")
    difference = np.abs(np.subtract(vectors, golden.vector, dtype=np.float64))  # float32 may overflow
    return float(difference.max(initial=0.0))


def compare(
    goldens: list[Golden],
    ids: Sequence[Sequence[Any] | npt.NDArray[Any]],
    vectors: Sequence[npt.NDArray[np.float32]] | npt.NDArray[np.float32],
    tolerance: float,
    more: Sequence[float] = (),
) -> Verification:
    """Hold tokens (as `Golden.tokens`) and vectors made here against the goldens. NaN fails.

    What else there is of each may differ by `more`, and the larger difference counts.
    """
    results = []
    others = more or [0.0] * len(goldens)
    for golden, own_ids, vector, other in zip(goldens, ids, vectors, others, strict=True):
        error = float(np.max([distance(vector, golden), other]))
        own = own_ids.tolist() if isinstance(own_ids, np.ndarray) else [*own_ids]
        equal = own == golden.tokens
        results.append(GoldenResult(golden.name, equal and error <= tolerance, equal, error))
    errors = [result.error for result in results]
    return Verification(
        passed=all(result.passed for result in results),
        worst_error=max(errors) if not np.isnan(errors).any() else float("nan"),
        tolerance=tolerance,
        goldens=tuple(results),
    )

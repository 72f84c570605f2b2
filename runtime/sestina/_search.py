"""The nearest of many vectors: exact, in blocks within a ceiling of memory, whatever the blocks the same."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple, get_args

import numpy as np

from sestina._arguments import one_of, whole_number
from sestina._bits import differing, packed_signs, signs
from sestina._bundle.manifest import Similarity
from sestina._errors import OptionError
from sestina._similarity import similarity
from sestina._vectors import as_rows, norms_of, plain_array, refuse_unfit, unit_rows

if TYPE_CHECKING:
    import numpy.typing as npt

    from sestina._arrays import Ids, Vectors

_MIB = 1 << 20
_MOST = 1e30  # of a norm: beyond it, and below one over it, products leave float32
_KINDS = ("float32", "float64", "float16", "int8", "uint8")


class Matches(NamedTuple):
    """What was found for each query, best first; of equal scores the lower index.

    Attributes:
        indices: (n, k) int64, rows of the corpus.
        scores: (n, k) float32: a cosine, a dot product, or a distance with its sign turned, so that more is
            nearer everywhere.
    """

    indices: Ids
    scores: Vectors


class Corpus:
    """Vectors to search, looked through once: their norms are kept, the vectors are not copied.

    Args:
        vectors: As `Encoder.encode` gives them in any of its forms: (n, d) float32 or float16, and float64;
            int8, of whatever one scale a vector has, which a cosine does not see; or uint8, eight signs a
            byte, compared bit by bit. A mapped file (`numpy.load(path, mmap_mode="r")`) stays in place.
        metric: What is near. Bits have a cosine alone: 1 - 2 * differing / all.

    Raises:
        OptionError: Where the vectors are of another kind or shape, or a row is not finite.
    """

    def __init__(self, vectors: npt.NDArray[Any], *, metric: Similarity = "cosine") -> None:
        self.metric = one_of("metric", metric, get_args(Similarity))
        given = isinstance(vectors, np.ndarray)
        if not given or vectors.ndim != 2 or vectors.dtype.name not in _KINDS or 0 in vectors.shape[1:]:
            what, shape = (vectors.dtype, vectors.shape) if given else (type(vectors).__name__, None)
            raise OptionError(
                f"corpus is {what} of shape {shape}; it must be an array (n, d) of {', '.join(_KINDS)}"
            )
        if np.ma.is_masked(vectors):
            raise OptionError(
                "corpus has masked values: a search needs every number; fill them or leave them out"
            )
        self._vectors = np.asarray(vectors)
        self._bits = vectors.dtype == np.uint8
        if self._bits and self.metric != "cosine":
            raise OptionError(f"metric is {self.metric!r}; packed bits are compared by 'cosine' alone")
        self._inverse_norms = np.zeros(0, np.float32) if self._bits else self._measured()

    def __len__(self) -> int:
        """How many vectors there are."""
        return len(self._vectors)

    @property
    def dimensions(self) -> int:
        """d, of a query too; of bits rounded up to whole bytes, as a query's are."""
        return int(self._vectors.shape[1]) * (8 if self._bits else 1)

    def search(self, queries: npt.NDArray[Any], k: int = 10, *, max_memory_mb: int = 64) -> Matches:
        """The `k` nearest of each query, or all where there are fewer.

        Args:
            queries: (d,) or (n, d) of any float type or int8; of a corpus of bits also uint8, packed
                as it is.
            k: How many to find.
            max_memory_mb: Ceiling for what is computed at once, besides the result; a row of the corpus and a
                score of each query are the least.

        Raises:
            OptionError: Where queries are of another width or not finite, or a number is not allowed.
        """
        k = whole_number("k", k, 1, 1 << 31)
        room = whole_number("max_memory_mb", max_memory_mb, 1, 1 << 24) * _MIB
        rows, width = self._queries(queries)
        found = [(np.zeros(0, np.int64), np.zeros(0, np.float32)) for _ in rows]
        for begin, block in self._blocks(room, len(rows)):
            for at, scores in enumerate(self._scores(rows, width, begin, block)):
                best, values = _best(scores, k)
                indices, kept = found[at]
                values = np.concatenate([kept, values])
                order = np.argsort(-values, kind="stable")[:k]
                found[at] = (np.concatenate([indices, best + begin])[order], values[order])
        return _matches(found, min(k, len(self)))

    def rescore(self, queries: npt.NDArray[Any], matches: Matches, k: int = 10) -> Matches:
        """The `k` best of what a coarser search has found, by the vectors of this corpus.

        Find some times as many by bits and look at those alone more closely: by the same vectors in float16
        or int8, which may lie in a mapped file, or by the bits themselves, whose signs a query that is not
        packed tells apart better than its own signs do.

        Args:
            queries: (d,) or (n, d) of any float type or int8, those of the search.
            matches: Of a corpus with the same rows.
            k: How many to keep, or all where there are fewer.

        Raises:
            OptionError: As `search`; where there are matches for another number of queries, or of other rows.
        """
        k = whole_number("k", k, 1, 1 << 31)
        rows = _floats(queries)
        self._check_width(rows.shape[1])
        indices = plain_array(getattr(matches, "indices", None), "matches")
        if indices.ndim != 2 or indices.dtype.kind not in "iu" or len(indices) != len(rows):
            raise OptionError(
                f"matches are {indices.dtype} of shape {indices.shape}; they must be whole numbers of shape "
                f"({len(rows)}, k), a row for each query"
            )
        if indices.size and not 0 <= indices.min() <= indices.max() < len(self):
            raise OptionError(
                f"matches have rows from {indices.min()} to {indices.max()}; there are {len(self)}"
            )
        found = []
        for row, candidates in zip(rows, indices, strict=True):
            near = self._vectors[candidates]
            exact = signs(near, len(row)) if self._bits else near.astype(np.float32)
            scores = similarity(self.metric, row[np.newaxis], exact)[0]
            order = np.lexsort((candidates, -scores))[:k]
            found.append((candidates[order].astype(np.int64), scores[order]))
        return _matches(found, min(k, indices.shape[1]))

    def _queries(self, queries: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], int]:
        """Queries as they are compared, and of how many dimensions they are."""
        if self._bits and isinstance(queries, np.ndarray) and queries.dtype == np.uint8:
            packed = np.atleast_2d(plain_array(queries, "queries"))
            if packed.ndim != 2:
                raise OptionError(f"queries are of shape {queries.shape}; they must be (w,) or (n, w) bytes")
            self._check_width(8 * packed.shape[1])
            return packed, 8 * packed.shape[1]
        rows = _floats(queries)
        self._check_width(rows.shape[1])
        if self._bits:
            return packed_signs(rows), rows.shape[1]
        return unit_rows(rows) if self.metric == "cosine" else rows, rows.shape[1]

    def _check_width(self, width: int) -> None:
        if (-(-width // 8) * 8 if self._bits else width) != self.dimensions:
            raise OptionError(f"queries have {width} dimensions, and the corpus {self.dimensions}")

    def _blocks(self, room: int, queries: int) -> Iterator[tuple[int, npt.NDArray[Any]]]:
        """Rows of the corpus, as float32 but for bits, and where they begin."""
        width = max(1, self._vectors.shape[1])
        # The next block is made while the last is still there; distances are computed in float64.
        blocks = 8 if self.metric in ("euclidean", "manhattan") else 2
        each = 4 * width * blocks + 24 * max(1, queries)
        count = max(1, room // each)
        for begin in range(0, len(self._vectors), count):
            block = self._vectors[begin : begin + count]
            if not self._bits:
                with np.errstate(over="ignore", under="ignore"):  # what does not fit is refused, once
                    block = np.asarray(block, dtype=np.float32)
            yield begin, block

    def _scores(
        self, rows: npt.NDArray[Any], width: int, begin: int, block: npt.NDArray[Any]
    ) -> Iterator[npt.NDArray[np.float32]]:
        """Of each query, (block,) float32."""
        if self._bits:
            for row in rows:
                yield (1.0 - 2.0 * differing(block, row) / width).astype(np.float32)
        elif self.metric == "cosine":
            products = rows @ block.T
            products *= self._inverse_norms[begin : begin + len(block)]
            yield from np.clip(products, -1.0, 1.0, out=products)
        else:
            yield from similarity(self.metric, rows, block)

    def _measured(self) -> npt.NDArray[np.float32]:
        """One over the norm of each row, (n,) float32; 0 of a zero row, which is similar to nothing."""
        norms = np.empty(len(self._vectors), np.float64)
        for begin, block in self._blocks(8 * _MIB, 1):
            end = begin + len(block)
            norms[begin:end] = norms_of(block)[:, 0]
            if self._vectors.itemsize > block.itemsize or not np.isfinite(norms[begin:end]).all():
                refuse_unfit(self._vectors[begin:end], "row {} of the corpus", begin)
        unusual = (norms > _MOST) | ((norms < 1 / _MOST) & (norms != 0))
        if self.metric == "cosine" and unusual.any():
            row = int(np.flatnonzero(unusual)[0])
            raise OptionError(f"row {row} of the corpus has the norm {norms[row]:.3g}: scale the corpus")
        with np.errstate(over="ignore"):  # of what only a cosine would need
            return np.divide(1.0, norms, out=np.zeros_like(norms), where=norms != 0).astype(np.float32)


def search(
    queries: npt.NDArray[Any],
    corpus: npt.NDArray[Any] | Corpus,
    k: int = 10,
    *,
    metric: Similarity = "cosine",
    max_memory_mb: int = 64,
) -> Matches:
    """The `k` nearest vectors of a corpus to each query: exact search, for what fits in memory or is mapped.

    Args:
        queries: (d,) or (n, d).
        corpus: Vectors, or a `Corpus` of them, which is quicker where one is searched many times. A `Corpus`
            has its own metric.
        k: How many to find.
        metric: What is near.
        max_memory_mb: Ceiling for what is computed at once.

    Raises:
        OptionError: As `Corpus` and `Corpus.search`.
    """
    looked_through = corpus if isinstance(corpus, Corpus) else Corpus(corpus, metric=metric)
    return looked_through.search(queries, k, max_memory_mb=max_memory_mb)


def _floats(queries: npt.NDArray[Any]) -> Vectors:
    of_levels = isinstance(queries, np.ndarray) and queries.dtype == np.int8
    return as_rows(queries.astype(np.float32) if of_levels else queries)


def _matches(found: list[tuple[Ids, Vectors]], width: int) -> Matches:
    return Matches(
        np.array([indices for indices, _ in found], np.int64).reshape(len(found), width),
        np.array([scores for _, scores in found], np.float32).reshape(len(found), width),
    )


def _best(scores: npt.NDArray[np.float32], k: int) -> tuple[Ids, npt.NDArray[np.float32]]:
    """The `k` highest and where they are, best first; of equal ones those that come first."""
    if k < len(scores):
        least = np.partition(scores, len(scores) - k)[len(scores) - k]
        among = np.flatnonzero(scores >= least)
    else:
        among = np.arange(len(scores))
    order = among[np.argsort(-scores[among], kind="stable")[:k]]
    return order, scores[order]

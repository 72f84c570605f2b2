"""Sparse vectors: of each text the tokens of the vocabulary that it is about, and how much each weighs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, overload

import numpy as np

from sestina._arguments import whole_number
from sestina._errors import MissingExtraError, OptionError

if TYPE_CHECKING:
    import numpy.typing as npt

    from sestina._arrays import Vectors

    Indices = npt.NDArray[np.int32]
    Row = tuple[Indices, Vectors]  # ascending, and the weight of each


class Spelling(Protocol):
    """What spells a token by its number."""

    def __getitem__(self, index: int) -> str:
        """The token."""


class TokenWeight(NamedTuple):
    """A token, and how much it weighs.

    Attributes:
        token: As the vocabulary spells it.
        weight: Above 0.
    """

    token: str
    weight: float


class SparseVector:
    """One text. Made by `SparseEncoder`; data alone, which can be pickled.

    Attributes:
        indices: (m,) int32, ascending: which tokens of the vocabulary have a weight.
        weights: (m,) float32, what each of them weighs, above 0.
        dimensions: Tokens of the vocabulary.
    """

    __slots__ = ("_tokens", "dimensions", "indices", "weights")

    def __init__(self, indices: Indices, weights: Vectors, dimensions: int, tokens: Spelling) -> None:
        self.indices, self.weights = indices, weights
        self.dimensions = dimensions
        self._tokens = tokens

    def __reduce__(self) -> tuple[type[SparseVector], tuple[Any, ...]]:
        spelt = _spelt(self._tokens, self.indices)
        return SparseVector, (self.indices, self.weights, self.dimensions, spelt)

    def __repr__(self) -> str:
        return f"<sestina.SparseVector: {len(self)} weights of {self.dimensions}>"

    def __len__(self) -> int:
        """How many weights there are."""
        return len(self.indices)

    def top(self, k: int | None = None) -> list[TokenWeight]:
        """The tokens that weigh most, with the heaviest first; of equal ones the first in the vocabulary.

        Args:
            k: How many; None: all.

        Raises:
            OptionError: Where k is no whole number from 1.
        """
        most = None if k is None else whole_number("k", k, 1, 1 << 62, ", or None")
        order = np.argsort(-self.weights, kind="stable")[:most].tolist()
        return [TokenWeight(self._tokens[int(self.indices[at])], float(self.weights[at])) for at in order]

    def prune(self, k: int) -> SparseVector:
        """The same with the k largest weights alone; of equal ones the first in the vocabulary are kept.

        Raises: as `top`.
        """
        return self._as(pruned((self.indices, self.weights), whole_number("k", k, 1, 1 << 62)))

    def dot(self, other: SparseVector) -> float:
        """The dot product with another.

        Raises:
            OptionError: Where the other is not one, or of another vocabulary.
        """
        if not isinstance(other, SparseVector):
            raise OptionError(f"other is {type(other).__name__}; it must be a SparseVector")
        return float(self.rows().dot(other.rows())[0, 0])

    def rows(self) -> SparseVectors:
        """The same as the one row of a `SparseVectors`."""
        starts = np.array([0, len(self)], dtype=np.int64)
        return SparseVectors(starts, self.indices, self.weights, self.dimensions, self._tokens)

    def to_dict(self) -> dict[str, list[Any]]:
        """{"indices": [...], "values": [...]}, as Qdrant, Pinecone and others take it."""
        return {"indices": self.indices.tolist(), "values": self.weights.tolist()}

    def to_pairs(self) -> dict[int, float]:
        """The weights by their index, as Milvus and pgvector take them."""
        return dict(zip(self.indices.tolist(), self.weights.tolist(), strict=True))

    def to_tokens(self) -> dict[str, float]:
        """The weights by their token, as Elasticsearch and OpenSearch take them."""
        return {self._tokens[index]: weight for index, weight in self.to_pairs().items()}

    def to_dense(self) -> Vectors:
        """(dimensions,) float32."""
        dense = np.zeros(self.dimensions, dtype=np.float32)
        dense[self.indices] = self.weights
        return dense

    def to_scipy(self) -> Any:
        """A scipy.sparse.csr_array of one row. Raises: MissingExtraError where scipy is not installed."""
        return self.rows().to_scipy()

    def _as(self, row: Row) -> SparseVector:
        return SparseVector(*row, self.dimensions, self._tokens)


class SparseVectors(Sequence[SparseVector]):
    """Texts in an order, as compressed sparse rows. Made by `SparseEncoder`; can be pickled as data alone.

    A number gives one `SparseVector`, a slice some rows as `SparseVectors`.

    Attributes:
        starts: (n + 1,) int64: row i has indices[starts[i]:starts[i + 1]], and the weights of that place.
        indices: (m,) int32, ascending in each row.
        weights: (m,) float32, above 0.
        dimensions: Tokens of the vocabulary.
    """

    __slots__ = ("_tokens", "dimensions", "indices", "starts", "weights")

    def __init__(
        self,
        starts: npt.NDArray[np.int64],
        indices: Indices,
        weights: Vectors,
        dimensions: int,
        tokens: Spelling,
    ) -> None:
        self.starts, self.indices, self.weights = starts, indices, weights
        self.dimensions = dimensions
        self._tokens = tokens

    def __reduce__(self) -> tuple[type[SparseVectors], tuple[Any, ...]]:
        spelt = _spelt(self._tokens, self.indices)
        return SparseVectors, (self.starts, self.indices, self.weights, self.dimensions, spelt)

    def __repr__(self) -> str:
        return f"<sestina.SparseVectors: {len(self)} texts, {len(self.indices)} weights of {self.dimensions}>"

    @property
    def shape(self) -> tuple[int, int]:
        """(n, dimensions)."""
        return len(self), self.dimensions

    def __len__(self) -> int:
        """How many texts there are."""
        return len(self.starts) - 1

    @overload
    def __getitem__(self, at: int) -> SparseVector: ...
    @overload
    def __getitem__(self, at: slice) -> SparseVectors: ...
    def __getitem__(self, at: int | slice) -> SparseVector | SparseVectors:
        """One text, or some of them in their order."""
        if isinstance(at, slice):
            rows = [self._row(each) for each in range(*at.indices(len(self)))]
            return gathered(rows, self.dimensions, self._tokens)
        return SparseVector(*self._row(range(len(self))[at]), self.dimensions, self._tokens)

    def __iter__(self) -> Iterator[SparseVector]:
        return (self[at] for at in range(len(self)))

    def _row(self, at: int) -> Row:
        some = slice(self.starts[at], self.starts[at + 1])
        return self.indices[some], self.weights[some]

    def top(self, k: int | None = None) -> list[list[TokenWeight]]:
        """As `SparseVector.top`, of each text."""
        return [each.top(k) for each in self]

    def prune(self, k: int) -> SparseVectors:
        """As `SparseVector.prune`, of each text."""
        most = whole_number("k", k, 1, 1 << 62)
        rows = [pruned(self._row(at), most) for at in range(len(self))]
        return gathered(rows, self.dimensions, self._tokens)

    def dot(self, other: SparseVector | SparseVectors) -> Vectors:
        """The dot product of each text with each of another: (n, n_other) float32.

        Raises:
            OptionError: Where the other is neither, or of another vocabulary.
        """
        from sestina._sparse_similarity import products

        if isinstance(other, SparseVector):
            other = other.rows()
        if not isinstance(other, SparseVectors):
            raise OptionError(f"other is {type(other).__name__}; it must be a SparseVector or SparseVectors")
        return products(self, other)

    def to_dense(self) -> Vectors:
        """(n, dimensions) float32."""
        dense = np.zeros(self.shape, dtype=np.float32)
        dense[np.repeat(np.arange(len(self)), np.diff(self.starts)), self.indices] = self.weights
        return dense

    def to_scipy(self) -> Any:
        """A scipy.sparse.csr_array, (n, dimensions), which shares these arrays.

        Raises:
            MissingExtraError: Where scipy is not installed.
        """
        try:
            from scipy.sparse import csr_array
        except ModuleNotFoundError as error:
            raise MissingExtraError(
                "scipy is not installed: pip install scipy, or use indices and weights", name=error.name
            ) from None
        return csr_array((self.weights, self.indices, self.starts), shape=self.shape)


def gathered(rows: Sequence[Row], dimensions: int, tokens: Spelling) -> SparseVectors:
    """Rows one after the other."""
    starts = np.zeros(len(rows) + 1, dtype=np.int64)
    np.cumsum([len(indices) for indices, _ in rows], out=starts[1:])
    indices = np.concatenate([np.zeros(0, dtype=np.int32), *(each for each, _ in rows)])
    weights = np.concatenate([np.zeros(0, dtype=np.float32), *(each for _, each in rows)])
    return SparseVectors(starts, indices, weights, dimensions, tokens)


def pruned(row: Row, most: int | None) -> Row:
    """A row with its largest weights alone; None: all."""
    indices, weights = row
    if most is None or len(indices) <= most:
        return row
    kept = np.sort(np.argsort(-weights, kind="stable")[:most])
    return indices[kept], weights[kept]


def _spelt(tokens: Spelling, indices: Indices) -> dict[int, str]:
    """What of a vocabulary is needed for these."""
    return {index: tokens[index] for index in np.unique(indices).tolist()}

"""Sparse vectors: of each text the tokens of the vocabulary that it is about, and how much each weighs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, overload

import numpy as np

from sestina._arguments import whole_number
from sestina._errors import MissingExtraError, OptionError
from sestina._process.native import opening
from sestina._sparse_rows import Rows, gathered, products, pruned

if TYPE_CHECKING:
    import numpy.typing as npt

    from sestina._arrays import Vectors
    from sestina._sparse_rows import Indices, Row


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
            OptionError: Where the other is not one, or of a vocabulary of another size.
        """
        if not isinstance(other, SparseVector):
            raise OptionError(f"other is {type(other).__name__}; it must be a SparseVector")
        return float(self.rows().dot(other.rows())[0, 0])

    def rows(self) -> SparseVectors:
        """The same as the one row of a `SparseVectors`."""
        return SparseVectors(gathered([(self.indices, self.weights)], self.dimensions), self._tokens)

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
    """

    __slots__ = ("_rows", "_tokens")

    def __init__(self, rows: Rows, tokens: Spelling) -> None:
        self._rows, self._tokens = rows, tokens

    def __reduce__(self) -> tuple[type[SparseVectors], tuple[Any, ...]]:
        return SparseVectors, (self._rows, _spelt(self._tokens, self.indices))

    @property
    def starts(self) -> npt.NDArray[np.int64]:
        """(n + 1,) int64: row i has indices[starts[i]:starts[i + 1]], and the weights of that place."""
        return self._rows.starts

    @property
    def indices(self) -> Indices:
        """(m,) int32, ascending in each row."""
        return self._rows.indices

    @property
    def weights(self) -> Vectors:
        """(m,) float32, above 0."""
        return self._rows.weights

    @property
    def dimensions(self) -> int:
        """Tokens of the vocabulary."""
        return self._rows.dimensions

    def __repr__(self) -> str:
        return f"<sestina.SparseVectors: {len(self)} texts, {len(self.indices)} weights of {self.dimensions}>"

    @property
    def shape(self) -> tuple[int, int]:
        """(n, dimensions)."""
        return len(self), self.dimensions

    def __len__(self) -> int:
        """How many texts there are."""
        return self._rows.height

    @overload
    def __getitem__(self, at: int) -> SparseVector: ...
    @overload
    def __getitem__(self, at: slice) -> SparseVectors: ...
    def __getitem__(self, at: int | slice) -> SparseVector | SparseVectors:
        """One text, or some of them in their order."""
        if isinstance(at, slice):
            return self._of([self._rows.row(each) for each in range(*at.indices(len(self)))])
        return SparseVector(*self._rows.row(range(len(self))[at]), self.dimensions, self._tokens)

    def __iter__(self) -> Iterator[SparseVector]:
        return (self[at] for at in range(len(self)))

    def _of(self, rows: Sequence[Row]) -> SparseVectors:
        return SparseVectors(gathered(rows, self.dimensions), self._tokens)

    def top(self, k: int | None = None) -> list[list[TokenWeight]]:
        """As `SparseVector.top`, of each text."""
        return [each.top(k) for each in self]

    def prune(self, k: int) -> SparseVectors:
        """As `SparseVector.prune`, of each text."""
        most = whole_number("k", k, 1, 1 << 62)
        return self._of([pruned(self._rows.row(at), most) for at in range(len(self))])

    def dot(self, other: SparseVector | SparseVectors) -> Vectors:
        """The dot product of each text with each of another: (n, n_other) float32.

        Raises:
            OptionError: Where the other is neither, or of a vocabulary of another size.
        """
        if isinstance(other, SparseVector):
            other = other.rows()
        if not isinstance(other, SparseVectors):
            raise OptionError(f"other is {type(other).__name__}; it must be a SparseVector or SparseVectors")
        return products(self._rows, other._rows)

    def to_dense(self) -> Vectors:
        """(n, dimensions) float32."""
        return self._rows.dense()

    def to_scipy(self) -> Any:
        """A scipy.sparse.csr_array, (n, dimensions), which shares indices and weights.

        Raises:
            MissingExtraError: Where scipy is not installed.
        """
        try:
            with opening:
                from scipy.sparse import csr_array
        except ModuleNotFoundError as error:
            raise MissingExtraError(
                "scipy is not installed: pip install scipy, or use indices and weights", name=error.name
            ) from None
        starts = self.starts
        if starts[-1] < 1 << 31:  # else scipy would copy the indices, to have both in int64
            starts = starts.astype(np.int32)
        return csr_array((self.weights, self.indices, starts), shape=self.shape)


def _spelt(tokens: Spelling, indices: Indices) -> dict[int, str]:
    """What of a vocabulary is needed for these."""
    return {index: tokens[index] for index in np.unique(indices).tolist()}

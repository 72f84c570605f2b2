"""What a bundle of embeddings gives of each token besides: what its contract says, and what it is for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sestina._bundle.late_interaction import LateInteraction, Role
from sestina._bundle.manifest import TextContract

DENSE, SPARSE, MULTI_VECTOR = "dense", "sparse", "multi-vector"
VECTORS, WEIGHTS, TOKENS = "sentence_embedding", "token_weights", "token_embeddings"  # outputs of graphs
TENSORS: Mapping[str, str] = {DENSE: VECTORS, SPARSE: WEIGHTS, MULTI_VECTOR: TOKENS}
GOLDENS: Mapping[str, str] = {SPARSE: "golden.sparse.npy", MULTI_VECTOR: "golden.multi-vector.npy"}
MOST_ROWS = 256  # tokens of a golden whose matrix is kept: those of long texts would be larger than all else


class SparseResult(NamedTuple):
    """A weight of each token, of which a text's sparse vector is made: of each id that of its heaviest place.

    Attributes:
        dimensions: Of a sparse vector: ids that there are.
        skip: Ids that weigh nothing.
    """

    dimensions: int
    skip: tuple[int, ...] = ()


class VectorsResult(NamedTuple):
    """A vector of each token.

    Attributes:
        dimensions: d, its width.
        first: The first token whose vector is given.
        similarity: How a query and a document are compared by them: "maxsim" or "meanmaxsim".
    """

    dimensions: int
    first: int = 0
    similarity: str = "meanmaxsim"


class Results(NamedTuple):
    """What there is besides the vector of a text, at least one of the two."""

    sparse: SparseResult | None = None
    multi_vector: VectorsResult | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """What may be asked for, the vector of a text first."""
        return (
            DENSE,
            *((SPARSE,) if self.sparse is not None else ()),
            *((MULTI_VECTOR,) if self.multi_vector is not None else ()),
        )

    @property
    def widths(self) -> dict[str, int]:
        """Of each further output of a graph, (batch, length, width), its width."""
        weights = {} if self.sparse is None else {WEIGHTS: 1}
        return weights if self.multi_vector is None else {**weights, TOKENS: self.multi_vector.dimensions}

    def to_dict(self) -> dict[str, Any]:
        """As the manifest has it."""
        values: dict[str, Any] = {}
        if self.sparse is not None:
            values[SPARSE] = {"dimensions": self.sparse.dimensions, "skip": [*self.sparse.skip]}
        if self.multi_vector is not None:
            values[MULTI_VECTOR] = self.multi_vector._asdict()
        return values


def seen_as(contract: TextContract, task: str, documents: Sequence[str]) -> TextContract:
    """The contract of a bundle of embeddings, as what else it gives would have it as a bundle of its own.

    Args:
        contract: Of the bundle.
        task: "sparse" or "multi-vector", which it gives.
        documents: Names of prompts of what is searched: the first that there is counts.
    """
    results = contract.results or Results()
    if task == SPARSE and results.sparse is not None:
        return contract._replace(dimensions=results.sparse.dimensions, similarity="dot", normalize=False)
    vectors = results.multi_vector
    assert vectors is not None  # noqa: S101  one of the two is asked for
    role = Role(contract.max_tokens, first=vectors.first)
    named = {"query": "query", "document": next((each for each in documents if each in contract.prompts), "")}
    return contract._replace(
        dimensions=vectors.dimensions,
        prompts={name: contract.prompts[key] for name, key in named.items() if key in contract.prompts},
        default_prompt=None,
        late_interaction=LateInteraction(vectors.similarity, role, role),
    )

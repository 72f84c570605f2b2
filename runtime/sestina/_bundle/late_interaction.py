"""How queries and documents are read where each of their tokens has a vector: what a contract says of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class Expansion(NamedTuple):
    """What a short query is filled up with.

    Attributes:
        length: Of a query in tokens, at least.
        token: The id that fills it up.
        attended: Whether other tokens attend to those.
    """

    length: int
    token: int
    attended: bool


class Role(NamedTuple):
    """How a query, or a document, is read.

    Attributes:
        max_tokens: Its limit in tokens, special tokens included.
        skip: Ids of tokens whose vectors are left out.
        expansion: What fills it up; None: nothing.
        first: The first token whose vector is given; of bundles of the task always 0, and not in a manifest.
    """

    max_tokens: int
    skip: tuple[int, ...] = ()
    expansion: Expansion | None = None
    first: int = 0

    def to_dict(self) -> dict[str, Any]:
        """As the manifest has it."""
        values: dict[str, Any] = {"max_tokens": self.max_tokens, "skip": list(self.skip)}
        return values if self.expansion is None else {**values, "expansion": self.expansion._asdict()}


class LateInteraction(NamedTuple):
    """How both are read and compared.

    Attributes:
        similarity: "maxsim" or "meanmaxsim".
        query: How a query is read.
        document: How a document is.
    """

    similarity: str
    query: Role
    document: Role

    @property
    def attends_apart(self) -> bool:
        """Whether a query may have tokens at its end that others do not attend to."""
        expansion = self.query.expansion
        return expansion is not None and not expansion.attended

    def to_dict(self) -> dict[str, Any]:
        """As the manifest has it."""
        return {
            "similarity": self.similarity,
            "query": self.query.to_dict(),
            "document": self.document.to_dict(),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> LateInteraction:
        """Of what `to_dict` gives, which is right in type and bounds."""
        return cls(values["similarity"], *(_role(values[name]) for name in ("query", "document")))


def _role(values: Mapping[str, Any]) -> Role:
    given = values.get("expansion")
    expansion = None if given is None else Expansion(given["length"], given["token"], given["attended"])
    return Role(values["max_tokens"], tuple(values["skip"]), expansion)

"""How the integrations of a reranker come by it, and what they ask of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import sestina
from sestina._quote import quote
from sestina.integrations._bundle import BundleSource

RerankerArgument = sestina.Reranker | str | os.PathLike[str]


class RerankerSource(BundleSource):
    """A reranker as a host names it: its bundle by its path, or a `Reranker`. None comes with Sestina.

    Args:
        reranker: The path of a bundle, or a `Reranker`.
        space: The space of the bundle that it must be; None: any.

    Raises:
        OptionError: Where `reranker` is neither.
    """

    argument, allowed = "reranker", "the path of a bundle, or a Reranker"
    advice = ": bring the same bundle, or name the one that is wanted now"

    @classmethod
    def _face(cls) -> type:
        return sestina.Reranker

    @classmethod
    def _load(cls) -> Callable[[str | None], Any]:
        return sestina.load_reranker

    def rank(self, query: str, documents: Sequence[str], most: int | None) -> list[sestina.Ranked]:
        """Documents by how well they answer a query, the best first; none of none.

        Args:
            query: What is asked.
            documents: What may answer it.
            most: How many are wanted; None: all.

        Raises:
            TextTypeError, TextValueError: As `Reranker.rank`.
            BundleIntegrityError: Where the bundle is of another space than the one that was stored.
            SestinaError: As `sestina.load_reranker`.
        """
        found: list[sestina.Ranked] = self.loaded.rank(query, documents, most) if documents else []
        return found

    def _checked(self, loaded: Any) -> Any:
        labels = loaded.labels
        if len(labels) != 1:
            raise sestina.OptionError(
                f"{self.path} gives {len(labels)} numbers a pair ({', '.join(labels):.200}), which have no "
                "order: use a reranker of one label"
            )
        return super()._checked(loaded)


def count_or_all(name: str, value: Any) -> int | None:
    """How many documents are wanted, as a host was told; None: all.

    Raises:
        OptionError: Where it is no whole number of at least 1.
    """
    if value is not None and (type(value) is not int or value < 1):
        raise sestina.OptionError(
            f"{name} is {quote(value)}; it must be a whole number of at least 1, or None"
        )
    return value

"""What an encoder says of the bundle that it was loaded from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from sestina._errors import UsageError
from sestina._familiar import ATTRIBUTES, LENGTH, no_attribute
from sestina._loaded import Reloading


class Facts(Reloading):
    """Facts of the contract. They cost nothing and cannot be changed."""

    _familiar = ATTRIBUTES  # what to write for another library's names

    @property
    def dimensions(self) -> int:
        """d, the width of a vector."""
        return self._contract.dimensions

    @property
    def prompts(self) -> Mapping[str, str]:
        """What may be put before a text, by name; cannot be changed."""
        return self._contract.prompts

    @property
    def default_prompt(self) -> str | None:
        """The name of the prompt that stands before every text for which none is asked; None: none does."""
        return self._contract.default_prompt

    @property
    def similarity_function(self) -> str:
        """How `similarity` compares: "cosine", "dot", "euclidean" or "manhattan"."""
        return self._contract.similarity

    @property
    def normalized(self) -> bool:
        """Whether every vector that is not zero has the length 1, so that a dot product is a cosine."""
        return self._contract.normalize

    def _facts(self) -> str:
        return f"{self.dimensions} dimensions"

    def __bool__(self) -> bool:
        return True  # whatever `len` says

    if not TYPE_CHECKING:  # which knows what there is

        def __len__(self):
            raise UsageError(LENGTH)

        def __getattr__(self, name):
            raise no_attribute(name, self, self._familiar)

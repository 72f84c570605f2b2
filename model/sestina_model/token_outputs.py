"""What a checkpoint gives of each token's state beside the one vector of a text, as data and as modules.

BGE-M3 (Chen et al. 2024) has two such outputs: a weight of each token, of which a text's sparse vector is
made, and a vector of each token, for late interaction. The encoder runs once for all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from torch import Tensor, nn

from sestina_model._errors import ConfigError
from sestina_model.head_steps import MOST, Normalize, is_count

if TYPE_CHECKING:
    from sestina_model.head_config import HeadConfig

__all__ = ["MULTI_VECTOR", "SPARSE", "TokenMaps", "TokenOutputs", "check_token_outputs"]

SPARSE, MULTI_VECTOR = "sparse", "multi-vector"


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenOutputs:
    """Which outputs there are, at least one.

    Attributes:
        sparse: Whether each token has a weight, relu(w h + b). Of a text each id weighs what the heaviest of
            its places does.
        skip: Of sparse: the ids that weigh nothing, ascending: special tokens, mostly.
        multi_vector: The width of each token's vector, W h + b divided by its L2 norm; None: it has none.
        first: Of multi-vector: the first token whose vector is given.

    Raises:
        ConfigError: Where a value is not allowed.
    """

    sparse: bool = False
    skip: tuple[int, ...] = ()
    multi_vector: int | None = None
    first: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.sparse, bool):
            raise ConfigError(f"sparse is {self.sparse!r:.60}; it must be true or false")
        ids = self.skip if isinstance(self.skip, tuple) else (None,)
        if not all(type(each) is int and each >= 0 for each in ids) or list(ids) != sorted(set(ids)):
            raise ConfigError(f"skip is {self.skip!r:.60}; it must be a tuple of different ids, ascending")
        width = self.multi_vector
        if width is not None and not (is_count(width) and width <= MOST):
            raise ConfigError(f"multi_vector is {width!r:.60}; it must be a whole number from 1, or null")
        if type(self.first) is not int or self.first < 0:
            raise ConfigError(f"first is {self.first!r:.60}; it must be a whole number from 0")
        if (self.skip and not self.sparse) or (self.first and width is None):
            raise ConfigError("skip is of sparse, and first of multi_vector, which is not there")
        if not self.names:
            raise ConfigError("token_outputs has neither sparse nor multi_vector; leave it out")

    @property
    def names(self) -> tuple[str, ...]:
        """What there is, in the order in which a graph gives it."""
        return (*((SPARSE,) if self.sparse else ()), *((MULTI_VECTOR,) if self.multi_vector else ()))

    def only(self, names: tuple[str, ...]) -> TokenOutputs | None:
        """Those of these names alone; None where that is none."""
        sparse, vectors = self.sparse and SPARSE in names, MULTI_VECTOR in names and self.multi_vector
        if not sparse and not vectors:
            return None
        return TokenOutputs(
            sparse=sparse,
            skip=self.skip if sparse else (),
            multi_vector=vectors or None,
            first=self.first if vectors else 0,
        )

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {
            "sparse": self.sparse,
            "skip": list(self.skip),
            "multi_vector": self.multi_vector,
            "first": self.first,
        }

    @classmethod
    def from_dict(cls, values: object) -> TokenOutputs:
        """Read what `to_dict` wrote.

        Raises:
            ConfigError: On an unknown name or a value that is not allowed.
        """
        names = {"sparse", "skip", "multi_vector", "first"}
        if not isinstance(values, Mapping) or not set(values) <= names:
            raise ConfigError(
                f"token_outputs is {values!r:.60}; it must be an object of {', '.join(sorted(names))}"
            )
        given = dict(values)
        if isinstance(given.get("skip"), list):
            given["skip"] = tuple(given["skip"])
        return cls(**given)


def check_token_outputs(head: HeadConfig) -> None:
    """Refuse them in heads of other tasks than embedding.

    Raises:
        ConfigError: Saying so.
    """
    given: object = head.token_outputs
    if not isinstance(given, TokenOutputs | None):
        raise ConfigError(f"token_outputs is {given!r:.60}; it must be TokenOutputs, or None")
    if given is not None and head.task != "embedding":
        raise ConfigError(f"the task {head.task} has no token_outputs; embedding may have them")


class TokenMaps(nn.ModuleDict):
    """The linear maps of `TokenOutputs`, "sparse" and "multi_vector", as far as there are such.

    Args:
        outputs: Which there are; None: none.
        d_model: D.
    """

    def __init__(self, outputs: TokenOutputs | None, d_model: int) -> None:
        super().__init__()
        if outputs is not None and outputs.sparse:
            self["sparse"] = nn.Linear(d_model, 1)
        if outputs is not None and outputs.multi_vector is not None:
            self["multi_vector"] = nn.Linear(d_model, outputs.multi_vector)

    def forward(self, hidden: Tensor) -> tuple[Tensor, ...]:
        """(B, S, D) -> weights (B, S, 1) and vectors (B, S, d), of these what there is."""
        results: list[Tensor] = []
        if "sparse" in self:
            results.append(self.linear("sparse")(hidden).relu())
        if "multi_vector" in self:
            results.append(Normalize()(self.linear("multi_vector")(hidden)))
        return tuple(results)

    def linear(self, name: str) -> nn.Linear:
        """One of them."""
        return cast("nn.Linear", self[name])

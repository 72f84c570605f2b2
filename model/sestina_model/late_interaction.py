"""How queries and documents are read where every token has a vector of its own, as data.

Late interaction (Khattab and Zaharia 2020) compares each token of a query with all of a document. The two are
read in their own ways: each has a limit, a query may be filled up with further tokens, and vectors of some
tokens, punctuation mostly, may be left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

from sestina_model._errors import ConfigError
from sestina_model.head_steps import is_count

if TYPE_CHECKING:
    from sestina_model.head_config import HeadConfig

__all__ = ["Expansion", "LateInteraction", "MaxSim", "Role", "check_late"]

MaxSim = Literal["maxsim", "meanmaxsim"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Expansion:
    """What a short query is filled up with.

    Attributes:
        length: Of a query in tokens, at least.
        token: The id that fills it up.
        attended: Whether other tokens attend to those; they attend to the others either way.

    Raises:
        ConfigError: Where a value is not allowed.
    """

    length: int
    token: int
    attended: bool = False

    def __post_init__(self) -> None:
        if not is_count(self.length):
            raise ConfigError(
                f"expansion has the length {self.length!r:.60}; it must be a whole number from 1"
            )
        if type(self.token) is not int or self.token < 0:
            raise ConfigError(f"expansion has the token {self.token!r:.60}; it must be an id")
        if not isinstance(self.attended, bool):
            raise ConfigError(f"attended is {self.attended!r:.60}; it must be true or false")


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """How a query, or a document, is read.

    Attributes:
        max_tokens: Its limit in tokens, special ones included.
        skip: Ids of tokens whose vectors are left out, ascending.
        expansion: What fills it up; None: nothing.

    Raises:
        ConfigError: Where a value is not allowed.
    """

    max_tokens: int
    skip: tuple[int, ...] = ()
    expansion: Expansion | None = None

    def __post_init__(self) -> None:
        if not is_count(self.max_tokens):
            raise ConfigError(f"max_tokens is {self.max_tokens!r:.60}; it must be a whole number from 1")
        ids = self.skip if isinstance(self.skip, tuple) else (None,)
        if not all(type(each) is int and each >= 0 for each in ids) or list(ids) != sorted(set(ids)):
            raise ConfigError(f"skip is {self.skip!r:.60}; it must be a tuple of different ids, ascending")
        if self.expansion is not None and self.expansion.length > self.max_tokens:
            raise ConfigError(
                f"expansion has the length {self.expansion.length}; max_tokens is {self.max_tokens}"
            )

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        expansion = self.expansion
        values: dict[str, Any] = {"max_tokens": self.max_tokens, "skip": list(self.skip)}
        if expansion is not None:
            members = ("length", "token", "attended")
            values["expansion"] = {name: getattr(expansion, name) for name in members}
        return values

    @classmethod
    def from_dict(cls, values: object) -> Role:
        """Read what `to_dict` wrote.

        Raises:
            ConfigError: On an unknown name or a value that is not allowed.
        """
        given = _members(values, "a role", ("max_tokens", "skip", "expansion"))
        skip = given.get("skip")
        if isinstance(skip, list):
            given["skip"] = tuple(skip)
        if given.get("expansion") is not None:
            members = ("length", "token", "attended")
            given["expansion"] = Expansion(**_members(given["expansion"], "an expansion", members, 2))
        return cls(**given)


@dataclass(frozen=True, slots=True, kw_only=True)
class LateInteraction:
    """How queries and documents are read, and compared.

    Attributes:
        query: How a query is read.
        document: How a document is.
        similarity: "maxsim": the sum, over the tokens of a query, of the highest product with any token of
            the document; "meanmaxsim": the mean.

    Raises:
        ConfigError: Where a value is not allowed.
    """

    query: Role
    document: Role
    similarity: MaxSim = "maxsim"

    def __post_init__(self) -> None:
        if self.similarity not in get_args(MaxSim):
            raise ConfigError(
                f"similarity is {self.similarity!r:.60}; it must be one of {', '.join(get_args(MaxSim))}"
            )
        if self.document.expansion is not None:
            raise ConfigError("a document has an expansion; only queries have one")

    @property
    def max_tokens(self) -> int:
        """The limit of whichever may be longer."""
        return max(self.query.max_tokens, self.document.max_tokens)

    @property
    def unattended(self) -> int:
        """Tokens of a query that is filled up with what is not attended to; 0: none is."""
        expansion = self.query.expansion
        return expansion.length if expansion is not None and not expansion.attended else 0

    def within(self, max_tokens: int) -> LateInteraction:
        """The same, where no text has more tokens than this.

        Raises:
            ConfigError: Where queries are filled up to more.
        """
        query, document = (
            replace(role, max_tokens=min(role.max_tokens, max_tokens)) for role in (self.query, self.document)
        )
        return replace(self, query=query, document=document)

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {
            "similarity": self.similarity,
            "query": self.query.to_dict(),
            "document": self.document.to_dict(),
        }

    @classmethod
    def from_dict(cls, values: object) -> LateInteraction:
        """Read what `to_dict` wrote.

        Raises:
            ConfigError: On an unknown or missing name, or a value that is not allowed.
        """
        given = _members(values, "late_interaction", ("query", "document", "similarity"))
        for name in ("query", "document"):
            given[name] = Role.from_dict(given.get(name))
        return cls(**given)


def check_late(head: HeadConfig) -> None:
    """Refuse a head of the task multi-vector without it, one of another task with it, and what it cannot
    have.

    Raises:
        ConfigError: Saying which.
    """
    late: object = head.late_interaction
    if not isinstance(late, LateInteraction | None) or (head.task == "multi-vector") != (late is not None):
        raise ConfigError(
            f"late_interaction is {late!r:.60}; the task multi-vector has one, and no other has"
        )
    if late is None:
        return
    if late.max_tokens > head.max_tokens:
        raise ConfigError(f"late_interaction reads {late.max_tokens} tokens; max_tokens is {head.max_tokens}")
    if head.truncate_dim is not None or head.default_prompt is not None or not head.include_prompt:
        raise ConfigError(
            "the task multi-vector has neither truncate_dim nor default_prompt, and include_prompt is true"
        )
    if "+" in head.pooling:
        raise ConfigError(
            f"pooling is {head.pooling!r:.60}; the task multi-vector pools nothing: leave it out"
        )
    if set(head.prompts) - {"query", "document"}:
        raise ConfigError(
            f"prompts has {', '.join(head.prompts):.60}; the task multi-vector has query and document"
        )


def _members(values: object, what: str, names: Sequence[str], needed: int = 1) -> dict[str, Any]:
    """The members of an object, none of which is another than these; so many, the first, must be there."""
    known = isinstance(values, Mapping) and set(names[:needed]) <= set(values) <= set(names)
    if not isinstance(values, Mapping) or not known:
        raise ConfigError(f"{what} is {values!r:.60}; it must be an object of {', '.join(names)}")
    return dict(values)

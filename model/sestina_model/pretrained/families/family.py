"""What a family of pretrained encoders is, as data: how it names its configuration and its weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sestina_model._errors import UnsupportedCheckpointError
from sestina_model.config import EncoderConfig
from sestina_model.pretrained.families.keys import Keys

__all__ = ["GATE", "POSITIONS", "Architecture", "Family", "Names", "Source"]


@dataclass(frozen=True, slots=True)
class Source:
    """Where one of our weights comes from, when it is not one of theirs as it is.

    Attributes:
        name: Theirs.
        part: Which of `parts` equal shares of its rows is ours, of maps that are stored as one.
        parts: Into how many it falls.
        plus: What is added to it: a norm that multiplies by 1 + weight is one that multiplies by the sum.
    """

    name: str
    part: int = 0
    parts: int = 1
    plus: float = 0.0


_MOST_POSITIONS = 2**24
POSITIONS = "max_position_embeddings"
GATE = "layers.{}.feed_forward.gate"

# Our module (or weight) -> theirs. Layers are `{}`.
Names = Mapping[str, str | Source]


def _nothing(keys: Keys) -> Mapping[str, Any]:  # noqa: ARG001  as families that choose by their keys
    return {}


def _own_number(keys: Keys) -> Callable[[int], str]:  # noqa: ARG001  as ALBERT, which groups layers
    return str


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One family.

    Attributes:
        tokenizer: The class that Hugging Face tokenizes with where a folder names none.
        settings: Our configuration name -> (theirs, the value where config.json has none). An empty name is
            no key: the value is fixed there.
        layouts: The names of its weights; several where there are checkpoints of several layouts.
        fixed: Choices that are the same for all of the family.
        choices: Those that depend on config.json.
        token_types: The token-type table, of which row 0 is used, and how many rows it has where config.json
            does not say; None: there is none. Its name may be a key of `layouts`.
        token_types_optional: Whether it may have none.
        padded_positions: Whether positions are counted from the padding id + 1, and over tokens that are not
            padding (fairseq's habit): one that is written out in a text ("<pad>") has the row of that id.
        aliases: Their name -> another name that config.json may use for it.
        neutral: Their names of what changes the computation and is not carried, and the values that change
            nothing.
        own_code: Whether its checkpoints may name code of their own in auto_map: it is never run, and the
            family is computed as transformers does without it.
        layer_name: From the number of one of our layers to what stands for `{}`.
    """

    tokenizer: str
    settings: Mapping[str, tuple[str, object]]
    layouts: Sequence[Names]
    fixed: Mapping[str, Any] = field(default_factory=dict)
    choices: Callable[[Keys], Mapping[str, Any]] = _nothing
    token_types: tuple[str, int] | None = None
    token_types_optional: bool = False
    padded_positions: bool = False
    aliases: Mapping[str, str] = field(default_factory=dict)
    neutral: Mapping[str, tuple[object, ...]] = field(default_factory=dict)
    own_code: bool = False
    layer_name: Callable[[Keys], Callable[[int], str]] = _own_number


@dataclass(frozen=True, slots=True)
class Architecture:
    """What a config.json says: the family, our configuration, and how tables are cut to it."""

    family: Family
    config: EncoderConfig
    skipped_positions: int  # rows at the start of the position table that no token ever uses
    n_token_types: int  # 0: it has no such table
    layer_name: Callable[[int], str]
    by_length: UnsupportedCheckpointError | None = None  # where texts beyond max_positions are others
    states_positions: bool = True  # whether config.json says how long a text may be, or its family's default

    def reaching(self, longest: int | None) -> Architecture:
        """The same for texts of so many tokens, where only config.json says that they be shorter.

        Where no table has a row for each position the weights have no limit, and a length that a folder
        states outranks that of config.json.

        Raises:
            UnsupportedCheckpointError: Where texts beyond it turn in another way, each by its length.
        """
        config = self.config
        if config.has_position_table or longest is None or longest <= config.max_positions:
            return self
        if self.by_length is not None:
            raise self.by_length
        return replace(self, config=replace(config, max_positions=min(longest, _MOST_POSITIONS)))

    def sources(self, weights: Sequence[str]) -> list[tuple[Names, dict[str, Source]]]:
        """For each layout that has them all, where each of our weights comes from.

        One with gates is none of an encoder without: the rest of their weights would be read as its own.
        """
        found = []
        for names in self.family.layouts:
            if GATE in names and not self.config.gated:
                continue
            sources = {name: self._source(names, name) for name in weights}
            if all(sources.values()):
                found.append((names, {name: source for name, source in sources.items() if source}))
        return found

    def token_types(self, names: Names) -> str | None:
        """The name of the token-type table, if there is one."""
        if self.family.token_types is None or not self.n_token_types:
            return None
        name = self.family.token_types[0]
        found = names.get(name, name)
        return f"{found.name if isinstance(found, Source) else found}.weight"

    def _source(self, names: Names, name: str) -> Source | None:
        layer = next((part for part in name.split(".") if part.isdigit()), "")
        pattern = name.replace(f".{layer}.", ".{}.", 1) if layer else name
        module, _, kind = pattern.rpartition(".")
        found, ending = (names[pattern], "") if pattern in names else (names.get(module), f".{kind}")
        if found is None:
            return None
        source = found if isinstance(found, Source) else Source(found)
        place = self.layer_name(int(layer)) if layer else ""
        return replace(source, name=source.name.format(place) + ending)

"""What becomes of the hidden states of a text, and which text is read at all, as data: the text contract."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, get_args

from sestina_model._errors import ConfigError
from sestina_model.head_steps import Step, is_count
from sestina_model.late_interaction import LateInteraction, check_late
from sestina_model.prompts import check_prompts
from sestina_model.sparse_head import check_sparse
from sestina_model.token_outputs import TokenOutputs, check_token_outputs

__all__ = [
    "LOGITS",
    "MOST_MODES",
    "POOLINGS",
    "Activation",
    "HeadConfig",
    "Pooling",
    "Similarity",
    "Task",
    "pooling_modes",
]

# One of `POOLINGS`, or several joined by "+": their vectors one after the other.
Pooling = str
Similarity = Literal["cosine", "dot", "euclidean", "manhattan"]
Task = Literal["embedding", "rerank", "classify", "tag", "sparse", "multi-vector"]
Activation = Literal["identity", "sigmoid", "softmax", "tanh"]

LOGITS = ("rerank", "classify", "tag")  # tasks whose result is a logit for each label

POOLINGS = ("mean", "cls", "max", "mean_sqrt_len_tokens", "weightedmean", "lasttoken")
MOST_MODES = 16


def pooling_modes(pooling: object) -> tuple[str, ...]:
    """The modes of a pooling, in the order of their vectors.

    Raises:
        ConfigError: Where it is none.
    """
    modes = tuple(pooling.split("+")) if isinstance(pooling, str) else ()
    if not 1 <= len(modes) <= MOST_MODES or not set(modes) <= set(POOLINGS):
        raise ConfigError(
            f"pooling is {pooling!r:.60}; it must be one of {', '.join(POOLINGS)}, or several joined by +"
        )
    return modes


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadConfig:
    """How the hidden states of a text become what is asked for, and how much of which text is read.

    The logits of a sequence classification head are a vector like any other: a pooling, and steps of which
    the last gives one number for each label.

    In this order: pooling, `steps`, `normalize`, `truncate_dim`. Of sparse: `steps` of every state, of which
    the last gives a logit for each token of the vocabulary, the maximum over real tokens, and log(1 + x) of
    what is above 0. As both are monotone this is the same in any order, and the maximum first costs least.

    Attributes:
        pooling: "mean" over real tokens, "cls" (the first token), "max" over real tokens,
            "mean_sqrt_len_tokens" (their sum by the root of their number), "weightedmean" (the n-th token
            counts n times), "lasttoken"; or several joined by "+".
        normalize: Whether the vector is divided by its L2 norm.
        max_tokens: The length limit in tokens, special tokens included; longer texts are truncated.
        steps: What lies between pooling and normalisation.
        truncate_dim: Only so many dimensions are kept, as they are; None: all.
        include_prompt: Whether a prompt's tokens are pooled as the text's are.
        prompts: By name, what is put before a text.
        default_prompt: The name of the one that is put before a text where none is asked for; or None.
        similarity: How vectors are compared.
        task: What is asked for. "rerank" reads a pair of texts where others read one.
        labels: What each number stands for, of `LOGITS` tasks.
        activation: What becomes of logits at last, outside the graph.
        saturation: Of sparse: how often log(1 + x) is taken, 1 or 2; else 0.
        max_active: Of sparse: how many weights of a text are kept, the largest; None: all.
        late_interaction: Of "multi-vector": how queries and documents are read and compared.
        token_outputs: Of "embedding": what there is of each token besides; None: nothing.

    Raises:
        ConfigError: Where a value is not allowed.
    """

    pooling: Pooling = "mean"
    normalize: bool = True
    max_tokens: int = 512
    steps: tuple[Step, ...] = ()
    truncate_dim: int | None = None
    include_prompt: bool = True
    prompts: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    default_prompt: str | None = None
    similarity: Similarity = "cosine"
    task: Task = "embedding"
    labels: tuple[str, ...] = ()
    activation: Activation = "identity"
    saturation: int = 0
    max_active: int | None = None
    late_interaction: LateInteraction | None = None
    token_outputs: TokenOutputs | None = None

    @property
    def pairs(self) -> bool:
        """Whether two texts are read at once."""
        return self.task == "rerank"

    @property
    def by_token(self) -> bool:
        """Whether each token has a result of its own, so that nothing is pooled."""
        return self.task in ("tag", "multi-vector")

    @property
    def sparse(self) -> bool:
        """Whether every state gives logits of the whole vocabulary, of which the highest are the result."""
        return self.task == "sparse"

    def __post_init__(self) -> None:
        pooling_modes(self.pooling)
        for name in ("normalize", "include_prompt"):
            if not isinstance(getattr(self, name), bool):
                raise ConfigError(f"{name} is {getattr(self, name)!r:.60}; it must be true or false")
        if not is_count(self.max_tokens):
            raise ConfigError(
                f"max_tokens is {self.max_tokens!r:.60}; it must be a whole number of at least 1"
            )
        if not isinstance(self.steps, tuple) or not all(isinstance(step, Step) for step in self.steps):
            raise ConfigError(f"steps is {self.steps!r:.60}; it must be a tuple of Step")
        if self.truncate_dim is not None and not is_count(self.truncate_dim):
            raise ConfigError(
                f"truncate_dim is {self.truncate_dim!r:.60}; it must be a whole number of at least 1, or null"
            )
        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in allowed:
                raise ConfigError(
                    f"{name} is {getattr(self, name)!r:.60}; it must be one of {', '.join(allowed)}"
                )
        check_prompts(self)
        self._check_labels()
        check_sparse(self)
        check_late(self)
        check_token_outputs(self)

    def _check_labels(self) -> None:
        logits = self.task in LOGITS
        if not isinstance(self.labels, tuple) or not all(isinstance(label, str) for label in self.labels):
            raise ConfigError(f"labels is {self.labels!r:.60}; it must be a tuple of strings")
        if logits != bool(self.labels) or len(set(self.labels)) != len(self.labels):
            raise ConfigError(
                f"labels is {self.labels!r:.60}; the task {self.task} "
                f"{'needs one different label for each number that it gives' if logits else 'has none'}"
            )
        if logits and (self.normalize or self.truncate_dim is not None or self.prompts):
            raise ConfigError(f"the task {self.task} has neither normalize, nor truncate_dim, nor prompts")
        last = self.steps[-1].out_features if self.steps else None
        if logits and last != len(self.labels):
            raise ConfigError(f"labels has {len(self.labels)} members; the head gives {last} numbers")
        if not logits and self.activation != "identity":
            raise ConfigError(f"activation is {self.activation!r}; the task {self.task} has 'identity'")

    def width(self, d_model: int) -> int:
        """The width of a vector, of hidden states of `d_model`."""
        width = self.full_width(d_model)
        return min(width, self.truncate_dim or width)

    def full_width(self, d_model: int) -> int:
        """The same before the cut."""
        width = d_model * len(pooling_modes(self.pooling))
        for step in self.steps:
            width = step.width(width)
        return width

    def __reduce__(self) -> tuple[Any, tuple[dict[str, Any]]]:
        """For copies and pickles, which cannot have a mapping that is read only."""
        return HeadConfig.from_dict, (self.to_dict(),)

    def to_dict(self) -> dict[str, Any]:
        """The configuration as plain JSON values, in declaration order.

        What the first version of this did not have is left out where it holds its default.
        """
        values: dict[str, Any] = {}
        for each in dataclasses.fields(self):
            value, default = getattr(self, each.name), _DEFAULTS[each.name]
            if each.name in _FIRST or value != default:
                values[each.name] = value
        if self.steps:
            values["steps"] = [step.to_dict() for step in self.steps]
        if self.prompts:
            values["prompts"] = dict(self.prompts)
        if self.labels:
            values["labels"] = list(self.labels)
        for name in _NESTED.keys() & values.keys():
            values[name] = values[name].to_dict()
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> HeadConfig:
        """Read what `to_dict` wrote.

        Raises:
            ConfigError: On an unknown name or a value that is not allowed.
        """
        unknown = sorted(set(values) - {field.name for field in dataclasses.fields(cls)})
        if unknown:
            raise ConfigError(f"unknown configuration names: {', '.join(unknown)}")
        given = dict(values)
        if "steps" in given:
            if not isinstance(given["steps"], list):
                raise ConfigError(f"steps is {given['steps']!r:.60}; it must be a list")
            given["steps"] = tuple(map(Step.from_dict, given["steps"]))
        if isinstance(given.get("labels"), list):
            given["labels"] = tuple(given["labels"])
        for name, kind in _NESTED.items():
            if given.get(name) is not None:
                given[name] = kind.from_dict(given[name])
        return cls(**given)


_CHOICES: Mapping[str, tuple[str, ...]] = {
    "similarity": get_args(Similarity),
    "task": get_args(Task),
    "activation": get_args(Activation),
}
_NESTED: Mapping[str, Any] = {"late_interaction": LateInteraction, "token_outputs": TokenOutputs}
_FIRST = ("pooling", "normalize", "max_tokens")
_DEFAULTS: Mapping[str, Any] = {
    each.name: getattr(HeadConfig(), each.name) for each in dataclasses.fields(HeadConfig)
}

"""What a folder of sentence-transformers says of how a text becomes a vector, and the members that say it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from sestina_model._errors import CheckpointError, UnsupportedCheckpointError
from sestina_model.head_config import HeadConfig, Similarity
from sestina_model.head_steps import Step, is_count
from sestina_model.pretrained.modules import Modules
from sestina_model.pretrained.transformer_module import options_of

__all__ = ["Contract", "check_model", "read_prompts"]


@dataclass(frozen=True, slots=True)
class Contract:
    """How a text becomes a vector, as far as the folder says.

    Attributes:
        transformer: The folder with the encoder and the tokenizer, mostly the folder itself.
        modules: What follows the encoder.
        max_seq_length: The length limit in tokens, or None where the tokenizer's own holds.
        lower_case: Whether texts are lower-cased before the tokenizer sees them.
        static: Whether the encoder is a table of token vectors (StaticEmbedding) with their mean.
        truncate_dim: How many dimensions of a vector are kept; None: all.
        prompts: What is put before a text, by name.
        default_prompt: The name of the one that is put before a text where none is asked for; None: none is.
        similarity: How vectors are compared.
        saturation: Of sparse: how often log(1 + x) is taken.
        max_active: Of sparse: how many weights of a text are kept; None: all.
    """

    transformer: Path
    modules: Modules = Modules()  # noqa: RUF009  a named tuple
    max_seq_length: int | None = None
    lower_case: bool = False
    static: bool = False
    truncate_dim: int | None = None
    prompts: Mapping[str, str] = field(default_factory=dict)
    default_prompt: str | None = None
    similarity: Similarity = "cosine"
    saturation: int = 0
    max_active: int | None = None

    def sparse_head(self, max_tokens: int, steps: tuple[Step, ...]) -> HeadConfig:
        """The same of a sparse encoder, whose model has the steps."""
        return HeadConfig(
            pooling="max",
            normalize=False,
            max_tokens=max_tokens,
            steps=steps,
            prompts=self.prompts,
            default_prompt=self.default_prompt,
            similarity=self.similarity,
            task="sparse",
            saturation=self.saturation,
            max_active=self.max_active,
        )

    def head(self, max_tokens: int) -> HeadConfig:
        """The same in our own terms, with this length limit."""
        return HeadConfig(
            pooling=self.modules.pooling,
            normalize=self.modules.normalize,
            max_tokens=max_tokens,
            steps=tuple(module.step for module in self.modules.steps),
            truncate_dim=self.truncate_dim,
            include_prompt=self.modules.include_prompt,
            prompts=self.prompts,
            default_prompt=self.default_prompt,
            similarity=self.similarity,
        )


def check_model(path: Path, config: Mapping[str, Any], kind: str = "SentenceTransformer") -> None:
    """Refuse a model of another kind, and members that make no sense.

    Raises:
        CheckpointError, UnsupportedCheckpointError: As their names say.
    """
    if config.get("model_type", kind) != kind:
        raise UnsupportedCheckpointError(
            f"{path}: model_type {config['model_type']!r:.60} is not supported; {kind!r} is"
        )
    truncate_dim = config.get("truncate_dim")
    if truncate_dim is not None and not is_count(truncate_dim):
        raise CheckpointError(
            f"{path}: truncate_dim is {truncate_dim!r:.60}; it must be a whole number of at least 1, or null"
        )
    similarity = config.get("similarity_fn_name")
    if similarity is not None and similarity not in get_args(Similarity):
        raise UnsupportedCheckpointError(
            f"{path}: similarity_fn_name {similarity!r:.60} is not supported; "
            f"{', '.join(get_args(Similarity))} and null are"
        )


def read_prompts(path: Path, config: Mapping[str, Any]) -> tuple[dict[str, str], str | None]:
    """The prompts by name, and the name of the default one.

    sentence-transformers 6 has "query" and "document" for every model, empty where the file has none. So a
    text that is encoded as a document gets no prompt there, even if the file has one for a "passage". Prompts
    that are all empty are none.
    """
    found, default = options_of(config, "prompts", path), config.get("default_prompt_name")
    prompts = {}
    for name, text in found.items():
        if not isinstance(text, str | None):
            raise CheckpointError(f"{path}: the prompt {name!r:.60} is {text!r:.60}; it must be a string")
        if any("\ud800" <= each <= "\udfff" for each in name + (text or "")):
            raise CheckpointError(f"{path}: the prompt {name!r:.60} has a lone surrogate; make it valid")
        prompts[name] = text or ""
    known_names = {*prompts, "query", "document"}
    if default is not None and not (isinstance(default, str) and default in known_names):
        known = ", ".join(map(repr, prompts)) or "(none)"
        raise CheckpointError(
            f"{path}: default_prompt_name is {default!r:.60}; it must be null or one of its prompts, "
            f"{known:.300}"
        )
    if not any(prompts.values()):
        return {}, None
    if "document" not in prompts and {"passage", "corpus"} & prompts.keys():
        prompts["document"] = ""
    return prompts, default if default in prompts else None

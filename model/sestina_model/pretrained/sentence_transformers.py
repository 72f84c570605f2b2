"""The text contract that sentence-transformers writes beside a model, in all its versions from 2 to 6.

modules.json lists the modules, each with a class path (which moved between versions) and a folder:
see `modules`. A folder without modules.json gets what sentence-transformers gives it, mean pooling and
nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from sestina_model._errors import CheckpointError, UnsupportedCheckpointError
from sestina_model._files import flag, read_json_object
from sestina_model.head_config import LOGITS, HeadConfig, Pooling, Similarity, Task
from sestina_model.head_steps import is_count
from sestina_model.pretrained.modules import MODULES, Modules, listed_modules, read_modules
from sestina_model.pretrained.multi_vector import Stated, read_late_modules, read_stated
from sestina_model.pretrained.static import MODEL_TYPE
from sestina_model.pretrained.tasks import CROSS_ENCODER
from sestina_model.pretrained.transformer_module import SEQUENCE, options_of, read_transformer

__all__ = ["MODULES", "Contract", "read_contract"]


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
        late: Of models that give each token a vector: how queries and documents are read.
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
    late: Stated | None = None

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


def read_contract(folder: Path, task: Task = "embedding") -> Contract:
    """Read the text contract of a folder; of `LOGITS` tasks all of it but the head, which its model has.

    Raises:
        CheckpointError: Where a file is damaged or a listed module is not there.
        UnsupportedCheckpointError: Naming the module, pooling or option that is not supported.
    """
    if task in LOGITS:
        return _sequence_contract(folder)
    if task == "multi-vector":
        return _late_contract(folder)
    if not (folder / MODULES).is_file():
        path = folder / "config.json"
        config = read_json_object(path, optional=True)
        if config.get("model_type") == MODEL_TYPE:
            return Contract(folder, Modules(normalize=flag(config, "normalize", path)), static=True)
        return Contract(folder, Modules(pooling=_usual_pooling(config)))
    modules = read_modules(folder)
    path = folder / "config_sentence_transformers.json"
    config = read_json_object(path, optional=True)
    _check_model(path, config)
    prompts, default = _prompts(path, config)
    limit, lower_case = (None, False) if modules.static else read_transformer(modules.transformer or folder)
    return Contract(
        transformer=modules.transformer or folder,
        modules=modules,
        max_seq_length=limit,
        lower_case=lower_case,
        truncate_dim=config.get("truncate_dim"),
        prompts=prompts,
        default_prompt=default,
        similarity=config.get("similarity_fn_name") or "cosine",
        static=modules.static,
    )


def _late_contract(folder: Path) -> Contract:
    """Of a model of late interaction."""
    modules, mask = read_late_modules(folder)
    root = modules.transformer or folder
    stated = read_stated(folder, root, mask)
    path = folder / "config_sentence_transformers.json"
    prompts, _ = _prompts(path, read_json_object(path, optional=True))
    limit, lower_case = read_transformer(root, roles=True)
    return Contract(root, modules, max_seq_length=limit, lower_case=lower_case, prompts=prompts, late=stated)


def _sequence_contract(folder: Path) -> Contract:
    """Of a model of sequence classification: a CrossEncoder of one module, or a folder of transformers'."""
    if not (folder / MODULES).is_file():
        limit, lower_case = read_transformer(folder, SEQUENCE)
        return Contract(folder, max_seq_length=limit, lower_case=lower_case)
    root = _lone_transformer(folder)
    path = folder / "config_sentence_transformers.json"
    config = read_json_object(path, optional=True)
    if config.get("model_type", CROSS_ENCODER) != CROSS_ENCODER:
        raise UnsupportedCheckpointError(
            f"{path}: model_type {config['model_type']!r:.60} has no head of sequence classification; "
            f"{CROSS_ENCODER!r} has"
        )
    if any(options_of(config, "prompts", path).values()):
        raise UnsupportedCheckpointError(
            f"{path}: prompts of a {CROSS_ENCODER} are not supported; leave them out"
        )
    limit, lower_case = read_transformer(root, SEQUENCE)
    return Contract(root, max_seq_length=limit, lower_case=lower_case)


def _lone_transformer(folder: Path) -> Path:
    """The folder of the Transformer that is the only module, as of a cross-encoder whose model has its head.

    Raises:
        CheckpointError: Where modules.json is damaged.
        UnsupportedCheckpointError: Where there are others.
    """
    modules = listed_modules(folder)
    if [kind for kind, _ in modules] != ["Transformer"]:
        raise UnsupportedCheckpointError(
            f"{folder / MODULES}: the modules {', '.join(kind for kind, _ in modules) or '(none)':.160} of a "
            f"cross-encoder are not supported; one Transformer is"
        )
    return modules[0][1]


def _usual_pooling(config: Mapping[str, Any]) -> Pooling:
    """What sentence-transformers does with a folder of transformers': the mean, or of a causal language model
    the last token.
    """
    architectures = config.get("architectures")
    first = architectures[0] if isinstance(architectures, list) and architectures else None
    causal = isinstance(first, str) and first.endswith("ForCausalLM") and config.get("is_causal", True)
    return "lasttoken" if causal else "mean"


def _check_model(path: Path, config: Mapping[str, Any]) -> None:
    if config.get("model_type", "SentenceTransformer") != "SentenceTransformer":
        raise UnsupportedCheckpointError(
            f"{path}: model_type {config['model_type']!r:.60} is not supported; 'SentenceTransformer' is"
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


def _prompts(path: Path, config: Mapping[str, Any]) -> tuple[dict[str, str], str | None]:
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

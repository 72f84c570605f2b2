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
from sestina_model._files import read_json_object
from sestina_model.head_config import HeadConfig, Pooling, Similarity
from sestina_model.head_steps import is_count
from sestina_model.pretrained.modules import MODULES, Modules, flag, read_modules
from sestina_model.pretrained.static import MODEL_TYPE

__all__ = ["MODULES", "Contract", "read_contract"]

# The Transformer's own file is named after the model in some versions; the first that exists is read.
_TRANSFORMER_CONFIGS = tuple(
    f"sentence_{name}_config.json"
    for name in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
)
# Options of how a model is loaded and run, not of what it computes but for rounding.
_WITHOUT_EFFECT = frozenset(
    {"add_pooling_layer", "attn_implementation", "device_map", "dtype", "low_cpu_mem_usage", "torch_dtype"}
    | {"use_cache", "use_safetensors"}
)
# Options of where files come from; trust_remote_code is ignored there as here, the tokenizers here are fast.
_OF_LOADING = {"cache_dir", "force_download", "local_files_only", "token", "trust_remote_code", "use_fast"}


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


def read_contract(folder: Path) -> Contract:
    """Read the text contract of a folder.

    Raises:
        CheckpointError: Where a file is damaged or a listed module is not there.
        UnsupportedCheckpointError: Naming the module, pooling or option that is not supported.
    """
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
    limit, lower_case = (None, False) if modules.static else _transformer(modules.transformer or folder)
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
    found, default = _options(config, "prompts", path), config.get("default_prompt_name")
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


def _transformer(folder: Path) -> tuple[int | None, bool]:
    """The length limit, and whether texts are lower-cased first."""
    path = next(
        (folder / name for name in _TRANSFORMER_CONFIGS if (folder / name).is_file()),
        folder / _TRANSFORMER_CONFIGS[0],
    )
    config = read_json_object(path, optional=True)
    if config.get("transformer_task", "feature-extraction") != "feature-extraction":
        raise UnsupportedCheckpointError(
            f"{path}: transformer_task {config['transformer_task']!r:.60} is not supported; "
            f"'feature-extraction' is"
        )
    _check_modalities(path, config)
    # The lengths cut queries and documents at other places than other texts.
    for key in ("tokenizer_name_or_path", "query_expansion", "query_length", "document_length"):
        if config.get(key) is not None:
            raise UnsupportedCheckpointError(
                f"{path}: {key} {config[key]!r:.60} is not supported; leave it out"
            )
    # The tokenizer's own keyword for the limit outranks max_seq_length there.
    limit = config.get("max_seq_length")
    for key in ("tokenizer_args", "processor_kwargs"):
        options = dict(_options(config, key, path))
        limit = options.pop("model_max_length", limit)
        _refuse_options(path, key, options)
    for key in ("config_args", "config_kwargs"):
        _refuse_options(path, key, _options(config, key, path))
    by_kind = _options(config, "processing_kwargs", path)
    _refuse_options(path, "processing_kwargs", {kind: each for kind, each in by_kind.items() if each != {}})
    for key in ("model_args", "model_kwargs"):
        _refuse_options(path, key, _options(config, key, path), _WITHOUT_EFFECT)
    if limit is not None and (not isinstance(limit, int) or isinstance(limit, bool) or limit < 1):
        raise CheckpointError(
            f"{path}: max_seq_length is {limit!r:.60}; it must be a whole number of at least 1"
        )
    return limit, flag(config, "do_lower_case", path)


def _options(config: Mapping[str, Any], key: str, path: Path) -> Mapping[str, Any]:
    """An object of options; null is none."""
    value = config.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise CheckpointError(f"{path}: {key} is {value!r:.60}; it must be an object")
    return value


def _check_modalities(path: Path, config: Mapping[str, Any]) -> None:
    kinds = _options(config, "modality_config", path)
    if "message" in kinds:  # then texts are none of "text" there: each becomes a message
        raise UnsupportedCheckpointError(
            f"{path}: the modality 'message' of modality_config is not supported, which puts every text into "
            f"a chat template; take it out to encode texts as they are"
        )
    if config.get("modality_config") is not None and "text" not in kinds:
        raise UnsupportedCheckpointError(
            f"{path}: modality_config {dict(kinds)!r:.60} is not supported; it must have 'text'"
        )
    text = _options(kinds, "text", path)
    given = (
        text.get("method", "forward"),
        text.get("method_output_name", "last_hidden_state"),
        config.get("module_output_name", "token_embeddings"),
    )
    if given != ("forward", "last_hidden_state", "token_embeddings"):
        raise UnsupportedCheckpointError(
            f"{path}: the output {' to '.join(map(str, given)):.160} is not supported; forward to "
            f"last_hidden_state to token_embeddings is"
        )


def _refuse_options(
    path: Path, key: str, options: Mapping[str, Any], without_effect: frozenset[str] = frozenset()
) -> None:
    """A value of false or 0 is one too: it overrides what another file says; null is none."""
    allowed = without_effect | _OF_LOADING
    changing = {name: value for name, value in options.items() if name not in allowed and value is not None}
    if changing:
        raise UnsupportedCheckpointError(
            f"{path}: {key} {changing!r:.120} is not supported; save the model with these options applied"
        )

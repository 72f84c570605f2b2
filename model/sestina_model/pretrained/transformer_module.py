"""What sentence-transformers writes beside a Transformer: its length limit, and what it is for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from sestina_model._errors import CheckpointError, UnsupportedCheckpointError
from sestina_model._files import flag, read_json_object

__all__ = [
    "FEATURES",
    "ROLES",
    "SEQUENCE",
    "VOCABULARY",
    "Expected",
    "options_of",
    "read_transformer",
    "transformer_config",
]

# The Transformer's own file is named after the model in some versions; the first that says anything is read.
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


class Expected(NamedTuple):
    """What a Transformer module must be for, and the outputs that it must name."""

    task: str
    method: str
    module: str


FEATURES = Expected("feature-extraction", "last_hidden_state", "token_embeddings")
ROLES = ("query_length", "document_length", "query_expansion")  # how queries and documents are read apart
SEQUENCE = Expected("sequence-classification", "logits", "scores")
VOCABULARY = Expected("fill-mask", "logits", "token_embeddings")


def transformer_config(folder: Path) -> tuple[Path, dict[str, Any]]:
    """The Transformer's own file, and what it holds: nothing where none is there, or each is empty."""
    for path in (folder / name for name in _TRANSFORMER_CONFIGS):
        if config := read_json_object(path, optional=True):
            return path, config
    return folder / _TRANSFORMER_CONFIGS[0], {}


def read_transformer(
    folder: Path, expected: Expected = FEATURES, *, stated: bool = False, roles: bool = False
) -> tuple[int | None, bool]:
    """The length limit, and whether texts are lower-cased first.

    Args:
        folder: The module's.
        expected: What it must be for.
        stated: Whether it must say so itself: a Transformer that says nothing gives features.
        roles: Whether queries and documents may be read apart.
    """
    path, config = transformer_config(folder)
    task = config.get("transformer_task", FEATURES.task if stated else expected.task)
    if task != expected.task:
        raise UnsupportedCheckpointError(
            f"{path}: transformer_task {task!r:.60} is not supported; {expected.task!r} is"
        )
    _check_modalities(path, config, expected)
    # The lengths cut queries and documents at other places than other texts.
    for key in ("tokenizer_name_or_path", *(() if roles else ROLES)):
        if config.get(key) is not None:
            raise UnsupportedCheckpointError(
                f"{path}: {key} {config[key]!r:.60} is not supported; leave it out"
            )
    # The tokenizer's own keyword for the limit outranks max_seq_length there.
    limit = config.get("max_seq_length")
    for key in ("tokenizer_args", "processor_kwargs"):
        options = dict(options_of(config, key, path))
        limit = options.pop("model_max_length", limit)
        _refuse_options(path, key, options)
    for key in ("config_args", "config_kwargs"):
        _refuse_options(path, key, options_of(config, key, path))
    by_kind = options_of(config, "processing_kwargs", path)
    _refuse_options(path, "processing_kwargs", {kind: each for kind, each in by_kind.items() if each != {}})
    for key in ("model_args", "model_kwargs"):
        _refuse_options(path, key, options_of(config, key, path), _WITHOUT_EFFECT)
    if limit is not None and (not isinstance(limit, int) or isinstance(limit, bool) or limit < 1):
        raise CheckpointError(
            f"{path}: max_seq_length is {limit!r:.60}; it must be a whole number of at least 1"
        )
    return limit, flag(config, "do_lower_case", path)


def options_of(config: Mapping[str, Any], key: str, path: Path) -> Mapping[str, Any]:
    """An object of options; null is none."""
    value = config.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise CheckpointError(f"{path}: {key} is {value!r:.60}; it must be an object")
    return value


def _check_modalities(path: Path, config: Mapping[str, Any], expected: Expected) -> None:
    kinds = options_of(config, "modality_config", path)
    if "message" in kinds:  # then texts are none of "text" there: each becomes a message
        raise UnsupportedCheckpointError(
            f"{path}: the modality 'message' of modality_config is not supported, which puts every text into "
            f"a chat template; take it out to encode texts as they are"
        )
    if config.get("modality_config") is not None and "text" not in kinds:
        raise UnsupportedCheckpointError(
            f"{path}: modality_config {dict(kinds)!r:.60} is not supported; it must have 'text'"
        )
    text = options_of(kinds, "text", path)
    given = (
        text.get("method", "forward"),
        text.get("method_output_name", expected.method),
        config.get("module_output_name", expected.module),
    )
    if given != ("forward", expected.method, expected.module):
        raise UnsupportedCheckpointError(
            f"{path}: the output {' to '.join(map(str, given)):.160} is not supported; forward to "
            f"{expected.method} to {expected.module} is"
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

"""The text contract that sentence-transformers writes beside a model, in all its versions from 2 to 6.

modules.json lists the modules, each with a class path (which moved between versions) and a folder:
always a Transformer, then a Pooling, then perhaps a Normalize. A folder without modules.json gets what
sentence-transformers gives it, mean pooling, and normalisation besides.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from sestina_model._errors import CheckpointError, UnsupportedCheckpointError
from sestina_model._files import read_json, read_json_object
from sestina_model.config import Pooling
from sestina_model.pretrained.static import MODEL_TYPE

__all__ = ["MODULES", "Contract", "read_contract"]

MODULES = "modules.json"

# The Transformer's own file is named after the model in some versions; the first that exists is read.
_TRANSFORMER_CONFIGS = tuple(
    f"sentence_{name}_config.json"
    for name in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
)
# One flag per mode until version 5.3, then a single pooling_mode.
_POOLING_FLAGS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
_POOLINGS = ("mean", "cls", "max")
_KINDS = ("Transformer", "StaticEmbedding", "Pooling", "Normalize", "Dropout")
# Options of how a model is loaded and run, not of what it computes but for rounding.
_WITHOUT_EFFECT = frozenset(
    {"add_pooling_layer", "attn_implementation", "device_map", "dtype", "low_cpu_mem_usage", "torch_dtype"}
    | {"use_cache", "use_safetensors"}
)


@dataclass(frozen=True, slots=True)
class Contract:
    """How a text becomes a vector, as far as the folder says.

    Attributes:
        transformer: The folder with the encoder and the tokenizer, mostly the folder itself.
        pooling: How hidden states become one vector.
        normalize: Whether the vector is divided by its norm.
        max_seq_length: The length limit in tokens, or None where the tokenizer's own holds.
        lower_case: Whether texts are lower-cased before the tokenizer sees them.
        static: Whether the encoder is a table of token vectors (StaticEmbedding) with their mean.
    """

    transformer: Path
    pooling: Pooling = "mean"
    normalize: bool = True
    max_seq_length: int | None = None
    lower_case: bool = False
    static: bool = False


def read_contract(folder: Path) -> Contract:
    """Read the text contract of a folder.

    Raises:
        CheckpointError: Where a file is damaged or a listed module is not there.
        UnsupportedCheckpointError: Naming the module, pooling, prompt or option that is not supported.
    """
    if not (folder / MODULES).is_file():
        path = folder / "config.json"
        config = read_json_object(path, optional=True)
        if config.get("model_type") == MODEL_TYPE:
            return Contract(folder, normalize=_flag(config, "normalize", path), static=True)
        return Contract(folder)
    modules = _modules(folder)
    kinds = [kind for kind, _ in modules]
    if kinds[:1] == ["StaticEmbedding"] and set(kinds[1:]) <= {"Normalize"}:
        _check_model(folder / "config_sentence_transformers.json")
        for _, path in modules[1:]:
            _check_normalize(path / "config.json")
        return Contract(modules[0][1], normalize=len(modules) > 1, static=True)
    if kinds not in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"]):
        raise UnsupportedCheckpointError(
            f"{folder / MODULES}: the modules {', '.join(kinds) or '(none)'} are not supported; Transformer, "
            f"Pooling and an optional Normalize, in this order, are"
        )
    paths = [path for _, path in modules]
    _check_model(folder / "config_sentence_transformers.json")
    if len(paths) == 3:
        _check_normalize(paths[2] / "config.json")
    limit, lower_case = _transformer(paths[0])
    return Contract(paths[0], _pooling(paths[1] / "config.json"), len(paths) == 3, limit, lower_case)


def _modules(folder: Path) -> list[tuple[str, Path]]:
    """Kind and folder of each module. Dropout is left out: it does nothing once a model is trained."""
    listed, modules = read_json(folder / MODULES), []
    if not isinstance(listed, list) or not all(
        isinstance(entry, dict) and isinstance(entry.get("type"), str) and isinstance(entry.get("path"), str)
        for entry in listed
    ):
        raise CheckpointError(f"{folder / MODULES} must be a list of modules with a type and a path each")
    names = [entry.get("name") for entry in listed]
    if any(names.count(name) > 1 for name in names if name is not None):
        raise CheckpointError(f"{folder / MODULES}: two modules have one name, of which one would be lost")
    for entry in listed:
        package, _, kind = entry["type"].rpartition(".")
        if package.split(".")[0] != "sentence_transformers" or kind not in _KINDS:
            raise UnsupportedCheckpointError(
                f"{folder / MODULES}: the module {entry['type']:.120} is not supported; "
                f"sentence-transformers' Transformer, Pooling and Normalize are"
            )
        path = posixpath.normpath(entry["path"])
        if posixpath.isabs(path) or path.split("/")[0] == "..":
            raise CheckpointError(f"{folder / MODULES}: the path {entry['path']!r:.60} leaves the folder")
        if kind != "Dropout":
            modules.append((kind, folder / path))
    return modules


def _check_model(path: Path) -> None:
    config = read_json_object(path, optional=True)
    prompt, prompts = config.get("default_prompt_name"), _options(config, "prompts", path)
    if prompt is not None and not (isinstance(prompt, str) and prompts.get(prompt) == ""):
        raise UnsupportedCheckpointError(
            f"{path}: default_prompt_name {prompt!r:.60} puts a prompt before every text, which is not "
            f"supported; set it to null and put the prompt into your texts"
        )
    if config.get("truncate_dim") is not None:
        raise UnsupportedCheckpointError(
            f"{path}: truncate_dim {config['truncate_dim']!r:.60} is not supported; set it to null and cut "
            f"the vectors when they are used"
        )
    if config.get("model_type", "SentenceTransformer") != "SentenceTransformer":
        raise UnsupportedCheckpointError(
            f"{path}: model_type {config['model_type']!r:.60} is not supported; 'SentenceTransformer' is"
        )


def _check_normalize(path: Path) -> None:
    config = read_json_object(path, optional=True)
    for key in ("module_input_name", "module_output_name"):
        if config.get(key) not in (None, "sentence_embedding"):
            raise UnsupportedCheckpointError(
                f"{path}: {key} {config[key]!r:.60} is not supported; 'sentence_embedding' is"
            )


def _pooling(path: Path) -> Pooling:
    config = read_json_object(path)
    if "pooling_mode" in config:
        found = config["pooling_mode"]
        modes = list(found) if isinstance(found, list) else [found]
    else:
        flags = {mode: _flag(config, flag, path) for flag, mode in _POOLING_FLAGS.items()}
        modes = [mode for mode, set_ in flags.items() if set_] or ["mean"]
    if len(modes) != 1 or modes[0] not in _POOLINGS:
        raise UnsupportedCheckpointError(
            f"{path}: pooling {' with '.join(map(str, modes)):.120} is not supported; one of "
            f"{', '.join(_POOLINGS)} is"
        )
    return cast("Pooling", modes[0])


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
    for key in ("tokenizer_name_or_path", "query_expansion"):
        if config.get(key):
            raise UnsupportedCheckpointError(
                f"{path}: {key} {config[key]!r:.60} is not supported; leave it out"
            )
    # The tokenizer's own keyword for the limit outranks max_seq_length there.
    limit = config.get("max_seq_length")
    for key in ("tokenizer_args", "processor_kwargs"):
        options = dict(_options(config, key, path))
        limit = options.pop("model_max_length", limit)
        _refuse_options(path, key, options)
    for key in ("config_args", "config_kwargs", "processing_kwargs"):
        _refuse_options(path, key, _options(config, key, path))
    for key in ("model_args", "model_kwargs"):
        _refuse_options(path, key, _options(config, key, path), _WITHOUT_EFFECT)
    if limit is not None and (not isinstance(limit, int) or isinstance(limit, bool) or limit < 1):
        raise CheckpointError(
            f"{path}: max_seq_length is {limit!r:.60}; it must be a whole number of at least 1"
        )
    return limit, _flag(config, "do_lower_case", path)


def _options(config: Mapping[str, Any], key: str, path: Path) -> Mapping[str, Any]:
    """An object of options; null is none."""
    value = config.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise CheckpointError(f"{path}: {key} is {value!r:.60}; it must be an object")
    return value


def _flag(config: Mapping[str, Any], key: str, path: Path) -> bool:
    """A flag; null is false there, and here."""
    value = config.get(key)
    if value is not None and not isinstance(value, bool):
        raise CheckpointError(f"{path}: {key} is {value!r:.60}; it must be true or false")
    return bool(value)


def _check_modalities(path: Path, config: Mapping[str, Any]) -> None:
    text = _options(_options(config, "modality_config", path), "text", path)
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
    # trust_remote_code is ignored there as it is here; the tokenizers here are all fast.
    allowed = without_effect | {"trust_remote_code", "use_fast"}
    changing = {name: value for name, value in options.items() if name not in allowed and value}
    if changing:
        raise UnsupportedCheckpointError(
            f"{path}: {key} {changing!r:.120} is not supported; save the model with these options applied"
        )

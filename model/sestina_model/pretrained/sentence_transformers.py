"""The text contract that sentence-transformers writes beside a model, in all its versions from 2 to 6.

modules.json lists the modules, each with a class path (which moved between versions) and a folder:
see `modules`. A folder without modules.json gets what sentence-transformers gives it, mean pooling and
nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sestina_model._errors import UnsupportedCheckpointError
from sestina_model._files import flag, read_json_object
from sestina_model.head_config import LOGITS, Pooling, Task
from sestina_model.pretrained.contract import Contract, check_model, read_prompts
from sestina_model.pretrained.modules import MODULES, Modules, listed_modules, read_modules
from sestina_model.pretrained.multi_vector import read_late_modules, read_stated
from sestina_model.pretrained.sparse_contract import read_sparse_contract
from sestina_model.pretrained.static import MODEL_TYPE
from sestina_model.pretrained.tasks import CROSS_ENCODER
from sestina_model.pretrained.transformer_module import SEQUENCE, options_of, read_transformer

__all__ = ["MODULES", "Contract", "read_contract"]


def read_contract(folder: Path, task: Task = "embedding") -> Contract:
    """Read the text contract of a folder; of other tasks all of it but the head, which its model has.

    Raises:
        CheckpointError: Where a file is damaged or a listed module is not there.
        UnsupportedCheckpointError: Naming the module, pooling or option that is not supported.
    """
    if task in LOGITS:
        return _sequence_contract(folder)
    if task == "sparse":
        return read_sparse_contract(folder)
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
    check_model(path, config)
    prompts, default = read_prompts(path, config)
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
    prompts, _ = read_prompts(path, read_json_object(path, optional=True))
    limit, lower_case = read_transformer(root, roles=True)
    return Contract(root, modules, max_seq_length=limit, lower_case=lower_case, prompts=prompts, late=stated)


def _sequence_contract(folder: Path) -> Contract:
    """Of a model of sequence classification: a CrossEncoder of one module, or a folder of transformers'."""
    if not (folder / MODULES).is_file():  # then none of sentence-transformers' other files is read there
        return Contract(folder)
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

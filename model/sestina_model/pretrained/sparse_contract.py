"""The text contract of a SparseEncoder (SPLADE): a masked language model, and the highest of its logits."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from sestina_model._errors import CheckpointError, UnsupportedCheckpointError
from sestina_model._files import read_json_object
from sestina_model.head_steps import is_count
from sestina_model.pretrained.contract import Contract, check_model, read_prompts
from sestina_model.pretrained.modules import MODULES, listed_modules
from sestina_model.pretrained.tasks import SENTENCE_TRANSFORMERS, SPARSE_ENCODER
from sestina_model.pretrained.transformer_module import VOCABULARY, read_transformer

__all__ = ["read_sparse_contract"]

_MLM, _SPLADE = "MLMTransformer", "SpladePooling"
_SATURATIONS: Mapping[str, int] = {"relu": 1, "log1p_relu": 2}


def read_sparse_contract(folder: Path) -> Contract:
    """Of a SparseEncoder that is a masked language model and a SpladePooling, or of such a model alone.

    Raises:
        CheckpointError: Where a file is damaged.
        UnsupportedCheckpointError: Naming the module or option that is not supported: inference-free queries
            (Router, SparseStaticEmbedding) and SparseAutoEncoder are such.
    """
    if not (folder / MODULES).is_file():  # then none of sentence-transformers' other files is read there
        return Contract(folder, similarity="dot", saturation=_SATURATIONS["relu"])
    modules = listed_modules(folder, (_MLM, _SPLADE))
    if [kind for kind, _ in modules] not in (["Transformer", _SPLADE], [_MLM, _SPLADE]):
        raise UnsupportedCheckpointError(
            f"{folder / MODULES}: the modules {', '.join(kind for kind, _ in modules) or '(none)':.160} of a "
            f"{SPARSE_ENCODER} are not supported; a Transformer of {VOCABULARY.task} and a {_SPLADE} are"
        )
    (kind, root), (_, pooling) = modules
    path = folder / SENTENCE_TRANSFORMERS
    config = read_json_object(path, optional=True)
    check_model(path, config, SPARSE_ENCODER)
    prompts, default = read_prompts(path, config)
    limit, lower_case = read_transformer(root, VOCABULARY, stated=kind == "Transformer")
    most = config.get("max_active_dims")
    if most is not None and not is_count(most):
        raise CheckpointError(
            f"{path}: max_active_dims is {most!r:.60}; it must be a whole number of at least 1, or null"
        )
    return Contract(
        root,
        max_seq_length=limit,
        lower_case=lower_case,
        prompts=prompts,
        default_prompt=default,
        similarity=config.get("similarity_fn_name") or "dot",
        saturation=_saturation(pooling / "config.json"),
        max_active=most,
    )


def _saturation(path: Path) -> int:
    """How often a SpladePooling takes log(1 + x); of its ways to pool the maximum is carried."""
    config = read_json_object(path)
    strategy, activation = config.get("pooling_strategy", "max"), config.get("activation_function", "relu")
    if strategy != "max":
        raise UnsupportedCheckpointError(
            f"{path}: pooling_strategy {strategy!r:.60} is not supported; 'max' is"
        )
    if not isinstance(activation, str) or activation not in _SATURATIONS:
        raise UnsupportedCheckpointError(
            f"{path}: activation_function {activation!r:.60} is not supported; {', '.join(_SATURATIONS)} are"
        )
    return _SATURATIONS[activation]

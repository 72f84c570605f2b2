"""What a folder was trained for, and what becomes of its logits, as those say who wrote it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sestina_model._errors import CheckpointError, UnsupportedCheckpointError
from sestina_model._files import read_json_object
from sestina_model.head_config import Activation, Task

__all__ = [
    "CROSS_ENCODER",
    "MULTI_VECTOR",
    "SENTENCE_TRANSFORMERS",
    "SPARSE_ENCODER",
    "read_activation",
    "stated_task",
]

SENTENCE_TRANSFORMERS, CROSS_ENCODER = "config_sentence_transformers.json", "CrossEncoder"
SPARSE_ENCODER = "SparseEncoder"
MULTI_VECTOR = "MultiVectorEncoder"
# What wrote ColBERT models before sentence-transformers 6, by the model_type or architecture that it states.
_OLDER = {"ColBERT": "PyLate", "HF_ColBERT": "ColBERT's own code"}
_OLD_ACTIVATION = "sbert_ce_default_activation_function"  # before sentence-transformers 4
_ACTIVATIONS: Mapping[str, Activation] = {"Identity": "identity", "Sigmoid": "sigmoid", "Tanh": "tanh"}
_PROBLEMS: Mapping[object, Activation] = {
    "regression": "identity",
    "multi_label_classification": "sigmoid",
    "single_label_classification": "softmax",
}


def stated_task(folder: Path) -> Task:
    """What a folder of theirs is: a cross-encoder, a classifier, a tagger, or what makes embeddings, sparse
    or not.

    A model of sequence classification with one label is a cross-encoder too, as sentence-transformers has it;
    with several it is a classifier unless sentence-transformers says otherwise.

    Raises:
        UnsupportedCheckpointError: Where it is a ColBERT model in an older layout.
    """
    stated = read_json_object(folder / SENTENCE_TRANSFORMERS, optional=True).get("model_type")
    if stated == CROSS_ENCODER:
        return "rerank"
    if stated == SPARSE_ENCODER:
        return "sparse"
    if stated == MULTI_VECTOR:
        return "multi-vector"
    _check_layout(folder / SENTENCE_TRANSFORMERS, "model_type", stated)
    if stated is not None or (folder / "modules.json").is_file():
        return "embedding"
    config = read_json_object(folder / "config.json", optional=True)
    architectures = config.get("architectures")
    first = architectures[0] if isinstance(architectures, list) and architectures else None
    _check_layout(folder / "config.json", "architectures", first)
    if isinstance(first, str) and first.endswith("ForTokenClassification"):
        return "tag"
    if not isinstance(first, str) or not first.endswith("ForSequenceClassification"):
        return "embedding"
    labels = config.get("id2label")
    count = len(labels) if isinstance(labels, dict) else config.get("num_labels", 2)
    own = "activation_fn" in _own(config) or config.get(_OLD_ACTIVATION) is not None
    return "rerank" if own or count == 1 else "classify"


def _check_layout(path: Path, key: str, stated: object) -> None:
    if isinstance(stated, str) and stated in _OLDER:
        raise UnsupportedCheckpointError(
            f"{path}: {key} {stated!r} is the layout of {_OLDER[stated]}, which is not supported; write "
            'it anew: python -c "from sentence_transformers import MultiVectorEncoder as M; '
            f"M({str(path.parent)!r}).save('NEW')\"; or export that model as it is in memory"
        )


def read_activation(folder: Path, config: Mapping[str, Any], task: Task, n_labels: int) -> Activation:
    """What becomes of logits at last.

    Of a cross-encoder what sentence-transformers does: the function that is named, else a sigmoid of one
    label and nothing of several. Of a classifier what transformers' pipeline does: by its problem, else a
    sigmoid of one label and a softmax of several.

    Raises:
        CheckpointError, UnsupportedCheckpointError: Where the folder names something else.
    """
    if task == "tag":
        return "softmax"
    if task == "classify":
        problem = config.get("problem_type")
        if problem is not None and problem not in _PROBLEMS:
            raise CheckpointError(
                f"{folder / 'config.json'}: problem_type is {problem!r:.60}; it must be one of "
                f"{', '.join(map(str, _PROBLEMS))}, or null"
            )
        if n_labels == 1 and problem != "regression":
            return "sigmoid"
        return _PROBLEMS.get(problem, "softmax")
    path = folder / SENTENCE_TRANSFORMERS
    named = None
    if (folder / "modules.json").is_file():  # without it no other file of theirs is read
        named = read_json_object(path, optional=True).get("activation_fn")
    if named is None:
        path = folder / "config.json"
        named = _own(config).get("activation_fn", config.get(_OLD_ACTIVATION))
    if named is None:
        return "sigmoid" if n_labels == 1 else "identity"
    package, _, name = named.rpartition(".") if isinstance(named, str) else ("", "", "")
    if package.split(".")[0] != "torch" or name not in _ACTIVATIONS:
        raise UnsupportedCheckpointError(
            f"{path}: activation_fn {named!r:.120} is not supported; torch.nn's {', '.join(_ACTIVATIONS)} are"
        )
    return _ACTIVATIONS[name]


def _own(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """What sentence-transformers has put into a config.json."""
    own = config.get("sentence_transformers")
    return own if isinstance(own, dict) else {}

"""What answers each task: the class of what is loaded, and the function that loads it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sestina._errors import OptionError
from sestina._process.native import opening
from sestina._quote import in_one_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from sestina._bundle.manifest import Manifest, TextContract
    from sestina._classifier import Classifier
    from sestina._multi_vector_encoder import MultiVectorEncoder
    from sestina._reranker import Reranker
    from sestina._sparse_encoder import SparseEncoder
    from sestina._tagger import Tagger

__all__ = [
    "LOADERS",
    "classifier",
    "contract_of",
    "face_of",
    "multi_vector_encoder",
    "other_task",
    "reranker",
    "sparse_encoder",
    "tagger",
]

LOADERS = {
    "embedding": "load",
    "rerank": "load_reranker",
    "classify": "load_classifier",
    "tag": "load_tagger",
    "sparse": "load_sparse_encoder",
    "multi-vector": "load_multi_vector_encoder",
}


def reranker() -> type[Reranker]:
    """Of the task rerank."""
    with opening:
        from sestina._reranker import Reranker

    return Reranker


def classifier() -> type[Classifier]:
    """Of the task classify."""
    with opening:
        from sestina._classifier import Classifier

    return Classifier


def tagger() -> type[Tagger]:
    """Of the task tag."""
    with opening:
        from sestina._tagger import Tagger

    return Tagger


def sparse_encoder() -> type[SparseEncoder]:
    """Of the task sparse."""
    with opening:
        from sestina._sparse_encoder import SparseEncoder

    return SparseEncoder


def multi_vector_encoder() -> type[MultiVectorEncoder]:
    """Of the task multi-vector."""
    with opening:
        from sestina._multi_vector_encoder import MultiVectorEncoder

    return MultiVectorEncoder


def face_of(task: str) -> Any:
    """The class that answers what a bundle of a task, other than embedding, is for."""
    faces: dict[str, Callable[[], Any]] = {
        "rerank": reranker,
        "classify": classifier,
        "tag": tagger,
        "sparse": sparse_encoder,
        "multi-vector": multi_vector_encoder,
    }
    return faces[task]()


def contract_of(manifest: Manifest, task: str) -> TextContract:
    """The contract of a bundle, for one of its tasks."""
    if task == manifest.task:
        return manifest.contract
    with opening:
        from sestina._bundle.results import seen_as
        from sestina._text.prompt import DOCUMENT

    return seen_as(manifest.contract, task, DOCUMENT)


def other_task(path: object, task: str, asked: str) -> OptionError:
    """The error of a bundle that is of another task than the one that was to be loaded."""
    return OptionError(
        f"{in_one_line(str(path))} is a bundle of the task {task}, and sestina.{LOADERS[asked]} loads "
        f"{asked}: use sestina.{LOADERS[task]}"
    )

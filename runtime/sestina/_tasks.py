"""What answers each task: the class of what is loaded, and the function that loads it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sestina._errors import OptionError
from sestina._process.native import opening
from sestina._quote import in_one_line

if TYPE_CHECKING:
    from sestina._classifier import Classifier
    from sestina._reranker import Reranker
    from sestina._sparse_encoder import SparseEncoder
    from sestina._tagger import Tagger

__all__ = ["LOADERS", "classifier", "face_of", "other_task", "reranker", "sparse_encoder", "tagger"]

LOADERS = {
    "embedding": "load",
    "rerank": "load_reranker",
    "classify": "load_classifier",
    "tag": "load_tagger",
    "sparse": "load_sparse_encoder",
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


def face_of(task: str) -> Any:
    """The class that answers what a bundle of a task, other than embedding, is for."""
    faces = {"rerank": reranker, "classify": classifier, "tag": tagger, "sparse": sparse_encoder}
    return faces[task]()


def other_task(path: object, task: str, asked: str) -> OptionError:
    """The error of a bundle that is of another task than the one that was to be loaded."""
    return OptionError(
        f"{in_one_line(str(path))} is a bundle of the task {task}, and sestina.{LOADERS[asked]} loads "
        f"{asked}: use sestina.{LOADERS[task]}"
    )

"""A function to load each task: they take what `load` takes, and give what the task needs.

One function a task and not one for all: type checkers and editors know what each gives without being told a
class, and a bundle of another task is an error at once, not an attribute that is missing later. All are made
of one, so that what they take is written once, in `load`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import update_wrapper
from typing import Any, ParamSpec, TypeVar, cast

from sestina._familiar import LOADING, with_one_name
from sestina._load import load, load_task
from sestina._loaded import Reloading
from sestina._tasks import LOADERS, classifier, reranker, sparse_encoder, tagger

__all__ = ["load_any", "load_classifier", "load_reranker", "load_sparse_encoder", "load_tagger"]

_P = ParamSpec("_P")
_T = TypeVar("_T")

_DEFAULTS = cast("Any", load).__wrapped__.__kwdefaults__


def _like(function: Callable[_P, object], task: str, kind: Callable[[], type[_T]]) -> Callable[_P, _T]:
    """`function` for another task, of which it gives what `kind` says."""
    name = LOADERS[task]

    def load_it(path: Any = None, **options: Any) -> Any:
        if unknown := options.keys() - _DEFAULTS.keys():
            raise TypeError(f"{name}() got an unexpected keyword argument {min(unknown)!r}")
        return load_task(task, path, **{**_DEFAULTS, **options})

    update_wrapper(load_it, function, updated=())
    load_it.__name__ = load_it.__qualname__ = name
    load_it.__module__ = __name__
    load_it.__doc__ = f"""Open a bundle of the task {task}.

    Arguments and errors are those of `load`.

    Returns: a `{kind.__name__.title().replace("_", "")}`.
    """
    return cast("Callable[_P, _T]", with_one_name(LOADING)(load_it))


def load_any(path: Any = None, **options: Any) -> Reloading:
    """Open a bundle of whichever task, for what all of them have: `verify`, `report`, `close`.

    Arguments and errors are those of `load`.
    """
    loaded: Reloading = load_task(None, path, **{**_DEFAULTS, **options})
    return loaded


load_reranker = _like(load, "rerank", reranker)
load_classifier = _like(load, "classify", classifier)
load_tagger = _like(load, "tag", tagger)
load_sparse_encoder = _like(load, "sparse", sparse_encoder)

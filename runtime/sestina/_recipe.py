"""How an encoder was loaded, so that another process can load the same: what a pickle of it holds."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

OnFork = Literal["reload", "error"]
ON_FORK = ("reload", "error")


class Recipe(NamedTuple):
    """The arguments of `load`, and what came of them.

    Attributes:
        path: Of the bundle, absolute; None: the bundle that comes with Sestina, wherever that is.
        space: Of the bundle. Another one at the same place is not what was meant.
        provider, precision, threads, max_memory_mb, strict, cache_dir, on_fork: As they were given.
        task: Of the bundle.
    """

    path: str | None
    space: str
    provider: Any
    precision: str
    threads: int | None
    max_memory_mb: int | None
    strict: bool
    cache_dir: str | None
    on_fork: OnFork
    task: str = "embedding"

"""A progress bar on standard error, only where it is asked for and tqdm is there to draw it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["progress_bar"]


@contextmanager
def progress_bar(
    total: int, show: bool, *, unit: str, title: str = "", done: int = 0
) -> Iterator[Callable[[int], object]]:
    """Yield a function that advances the bar by so many units; it does nothing where nothing is shown."""
    if show:
        try:
            import tqdm
        except ModuleNotFoundError:  # the bar is a courtesy, and its absence no reason to stop
            show = False
    if not show:
        yield lambda _: None
        return
    with tqdm.tqdm(
        total=total, unit=unit, desc=title or None, initial=done, unit_scale=True, dynamic_ncols=True
    ) as bar:
        yield bar.update

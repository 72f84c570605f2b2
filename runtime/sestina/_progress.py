"""A progress bar with rate and time left, drawn by tqdm and only where it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sestina._errors import MissingExtraError
from sestina._process.native import opening


@contextmanager
def progress_bar(total: int | None, show: bool, unit: str = "text") -> Iterator[Callable[[int], object]]:
    """Yield a function that advances the bar by so many units; it does nothing where `show` is false.

    Raises:
        MissingExtraError: Where a bar is to be shown and tqdm is not installed.
    """
    if not show:
        yield lambda _: None
        return
    try:
        with opening:
            import tqdm

            drawn = tqdm.tqdm(total=total, unit=unit, dynamic_ncols=True)  # the first one imports some more
    except ModuleNotFoundError:
        raise MissingExtraError('a progress bar needs tqdm: pip install "sestina[progress]"') from None
    with drawn as bar:
        yield bar.update

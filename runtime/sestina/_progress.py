"""A progress bar with rate and time left, drawn by tqdm and only where it is asked for."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sestina._errors import MissingExtraError
from sestina._process.native import opening

# What a standard error raises that is closed, absent or of somebody's own making.
_UNWRITABLE = (AttributeError, OSError, ValueError)


@contextmanager
def progress_bar(total: int | None, show: bool, unit: str = "text") -> Iterator[Callable[[int], object]]:
    """Yield a function that advances the bar by so many units; it does nothing where `show` is false.

    Nor where there is no standard error, as in a program without a console: work is not lost for a bar.

    Raises:
        MissingExtraError: Where a bar is to be shown and tqdm is not installed.
    """
    if not show or sys.stderr is None:
        yield lambda _: None
        return
    try:
        with opening:
            import tqdm

            bar = tqdm.tqdm(total=total, unit=unit, dynamic_ncols=True)  # the first one imports some more
    except ModuleNotFoundError:
        raise MissingExtraError('a progress bar needs tqdm: pip install "sestina[progress]"') from None
    except _UNWRITABLE:
        yield lambda _: None
        return
    drawn = _Drawn(bar)
    try:
        yield drawn.advance
    finally:
        drawn.close()


class _Drawn:
    """A bar that is no more once it cannot be drawn."""

    def __init__(self, bar: Any) -> None:
        self._bar = bar

    def advance(self, count: int) -> None:
        try:
            self._bar.update(count)
        except _UNWRITABLE:
            self._bar.disable = True

    def close(self) -> None:
        try:
            self._bar.close()
        except _UNWRITABLE:
            self._bar.disable = True

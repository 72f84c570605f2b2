"""Warnings that point at the line of whoever called us, however deep within us they arise."""

from __future__ import annotations

import sys
import warnings
from _thread import _local
from collections.abc import Iterator
from contextlib import contextmanager

_PACKAGE = __name__.partition(".")[0]
_of_thread = _local()


@contextmanager
def kept_warnings() -> Iterator[list[Warning]]:
    """Yield a list to which warnings of this thread are added inside the block, for whoever waits for it."""
    kept: list[Warning] = []
    _of_thread.kept = kept
    try:
        yield kept
    finally:
        _of_thread.kept = None


def warn_caller(warning: Warning) -> None:
    """Warn at the innermost line that is not ours: of a generator, where its next item was asked for."""
    kept = getattr(_of_thread, "kept", None)
    if kept is not None:
        kept.append(warning)
        return
    level = 1
    frame = sys._getframe()
    while frame.f_back is not None and _package(frame.f_globals) == _PACKAGE:
        frame = frame.f_back
        level += 1
    warnings.warn(warning, stacklevel=level)


def _package(names: dict[str, object]) -> str:
    return str(names.get("__name__")).partition(".")[0]

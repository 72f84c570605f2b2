"""Warnings that point at the line of whoever called us, however deep within us they arise."""

from __future__ import annotations

import sys
import warnings

_PACKAGE = __name__.partition(".")[0]


def warn_caller(warning: Warning) -> None:
    """Warn at the innermost line that is not ours: of a generator, where its next item was asked for."""
    level = 1
    frame = sys._getframe()
    while frame.f_back is not None and _package(frame.f_globals) == _PACKAGE:
        frame = frame.f_back
        level += 1
    warnings.warn(warning, stacklevel=level)


def _package(names: dict[str, object]) -> str:
    return str(names.get("__name__")).partition(".")[0]

"""onnxruntime's offline tools: they send nothing and say nothing while they work."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator

from sestina._onnxruntime import onnxruntime

__all__ = ["quiet_tools"]


@contextlib.contextmanager
def quiet_tools() -> Iterator[None]:
    """Import and call them inside the block. They print, log, warn and leave files open."""
    onnxruntime()  # before its tools import it: telemetry stays off
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)

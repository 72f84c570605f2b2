"""A checkpoint or a bundle, opened as something that encodes."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sestina_model._errors import FileError, ModelError
from sestina_model.checkpoint import Checkpoint, load
from sestina_model.evaluation.batches import encode_rows
from sestina_model.evaluation.progress import progress_bar
from sestina_model.evaluation.scores import TextEncoder

__all__ = ["BatchedCheckpoint", "MissingPackageError", "open_exact", "open_source"]

_MANIFEST = "manifest.json"


class MissingPackageError(ModelError, ModuleNotFoundError):
    """A package that reads this kind of source is not installed."""


class BatchedCheckpoint:
    """`Checkpoint.encode`, many texts at a time. The vectors differ by rounding alone.

    Args:
        checkpoint: Its model may be on any device.
        progress: Whether to draw a progress bar on standard error.
    """

    def __init__(self, checkpoint: Checkpoint, *, progress: bool = False) -> None:
        self._checkpoint = checkpoint
        self._progress = progress

    def encode(self, texts: Sequence[str], /) -> npt.NDArray[np.float32]:
        """Texts -> (n, D), in the order given."""
        rows = self._checkpoint.tokenize(texts)
        with progress_bar(len(rows), self._progress, unit="text") as advance:
            return encode_rows(self._checkpoint.model, rows, advance=advance)


class _Bundle:
    """A bundle through Sestina's runtime. Texts over the limit are cut, as every figure here has them."""

    def __init__(self, encoder: Any, progress: bool) -> None:
        self._encoder = encoder
        self._progress = progress

    def encode(self, texts: Sequence[str], /) -> npt.NDArray[np.float32]:
        vectors: npt.NDArray[np.float32] = self._encoder.encode(
            list(texts), on_truncate="ignore", progress=self._progress
        )
        return vectors


def open_exact(path: Path, *, progress: bool = False) -> TextEncoder:
    """As `open_source`, a bundle in fp32: a teacher is measured against as it is, not as it was rounded."""
    precision = "fp32" if (path / _MANIFEST).is_file() else "auto"
    return open_source(path, precision=precision, progress=progress)


def open_source(path: Path, *, precision: str = "auto", progress: bool = False) -> TextEncoder:
    """Open a checkpoint folder (ours or Hugging Face's) or a bundle.

    Args:
        path: The folder.
        precision: Of a bundle, which of its precisions to score; a checkpoint has but one.
        progress: Whether to draw progress bars on standard error.

    Raises:
        CheckpointError, UnsupportedCheckpointError: As `checkpoint.load` does.
        MissingPackageError: Where a bundle is named and Sestina's runtime is not installed.
        FileError: Where a bundle cannot be opened.
    """
    if not (path / _MANIFEST).is_file():
        if precision != "auto":
            raise FileError(
                f"{path} is no bundle, so it has no precision {precision!r} to choose; leave it out"
            )
        return BatchedCheckpoint(load(path), progress=progress)
    try:
        # Imported by name: dependencies run one way, and only this hand-over needs the runtime at all.
        sestina = importlib.import_module("sestina")
        encoder = sestina.load(path, precision=precision)
    except ModuleNotFoundError:
        raise MissingPackageError(f"{path} is a bundle; to score it: pip install sestina") from None
    except Exception as error:
        if isinstance(error, sestina.SestinaError):
            raise FileError(str(error)) from error
        raise
    return _Bundle(encoder, progress)

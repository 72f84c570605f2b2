"""The teacher reads each batch beside the student: its vectors, and its states of the tokens they share."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from sestina_model._errors import FileError
from sestina_model.checkpoint import Checkpoint
from sestina_model.distillation.arithmetic import fast_products
from sestina_model.distillation.corpus import Reading
from sestina_model.encoder import TransformerEncoder
from sestina_model.sentence import pool

__all__ = ["Lesson", "Teacher", "find_teacher", "states_at"]

_PACKAGE = "package:"


def find_teacher(name: str) -> Path:
    """The folder that a configuration calls `name`: a path, or "package:NAME/FOLDER".

    Raises:
        FileError: Where the package is not installed.
    """
    if not name.startswith(_PACKAGE):
        return Path(name).expanduser()
    package, _, inside = name.removeprefix(_PACKAGE).partition("/")
    found = importlib.util.find_spec(package)  # finds the folder without running any of its code
    if found is None or not found.submodule_search_locations:
        raise FileError(
            f"{name} names a package that is not installed; pip install {package.replace('_', '-')}"
        )
    return Path(found.submodule_search_locations[0]) / inside


class Lesson(NamedTuple):
    """A batch and what the teacher makes of it. T is the width of the teacher.

    Attributes:
        ids: (B, S) int64, the student's token ids.
        mask: (B, S) bool, True where one is real; None where all are.
        vectors: (B, T), the teacher's pooled vectors.
        texts, places: (n,) int64, which tokens of the batch the teacher has too: row and column in `ids`.
        states: For each of the teacher's layers, its states of those tokens, (n, T); none: not compared.
        bank: (N, T), the teacher's vectors of other texts, to which these are held; None: there is none.
        own: (B, N) bool, which of the bank is the text itself; None: none of it is.
    """

    ids: Tensor
    mask: Tensor | None
    vectors: Tensor
    texts: Tensor
    places: Tensor
    states: list[Tensor]
    bank: Tensor | None = None
    own: Tensor | None = None


class Teacher:
    """Gives lessons.

    Args:
        checkpoint: It may be moved to the device that computes afterwards.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._model = checkpoint.model

    @property
    def _device(self) -> torch.device:
        return self._model.encoder.tokens.weight.device

    @property
    def max_positions(self) -> int:
        """The longest sequence that it takes, in tokens."""
        return self._model.encoder.config.max_positions

    def lesson(self, texts: Sequence[Reading]) -> Lesson:
        """The lesson on these texts. The nearer their lengths, the less is read in vain."""
        ids, mask = self._padded([text.student for text in texts])
        theirs, their_mask = self._padded([text.teacher for text in texts])
        among = np.repeat(np.arange(len(texts)), [len(text.student_places) for text in texts])
        rows = self._tensor(among)
        places = self._tensor(np.concatenate([text.student_places for text in texts]))
        their_places = self._tensor(np.concatenate([text.teacher_places for text in texts]))
        with torch.no_grad(), fast_products(self._device):
            hidden, states = states_at(self._model.encoder, theirs, their_mask, rows, their_places)
            vectors = self._model.step(pool(hidden, their_mask, self._model.head.pooling))
        return Lesson(ids, mask, vectors, rows, places, states)

    def _padded(self, rows: Sequence[npt.NDArray[np.uint16]]) -> tuple[Tensor, Tensor | None]:
        """(B, S) ids and which of them are real; None where all are."""
        ids = np.zeros((len(rows), max(map(len, rows))), dtype=np.int64)
        real = np.zeros(ids.shape, dtype=np.bool_)
        for at, row in enumerate(rows):
            ids[at, : len(row)], real[at, : len(row)] = row, True
        return self._tensor(ids), None if real.all() else self._tensor(real, np.bool_)

    def _tensor(self, values: npt.NDArray[np.generic], dtype: type[np.generic] = np.int64) -> Tensor:
        return torch.from_numpy(values.astype(dtype)).to(self._device)


def states_at(
    encoder: TransformerEncoder, ids: Tensor, mask: Tensor | None, texts: Tensor, places: Tensor
) -> tuple[Tensor, list[Tensor]]:
    """All last states, (B, S, D), and for each layer those at n places (row and column), (n, D); float32.

    Without a place there are none of a layer.
    """
    x, states = encoder.embed(ids), []
    compared = len(places) > 0
    for layer in encoder.stack():
        x = layer(x, mask)
        if compared:
            states.append(x[texts, places].float())
    if encoder.final_norm is not None:
        x = encoder.final_norm(x)
        if compared:
            states[-1] = x[texts, places].float()
    return x.float(), states

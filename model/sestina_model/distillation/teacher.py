"""The teacher reads each batch beside the student: its vectors, and its states of the tokens they share."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from sestina_model._errors import FileError
from sestina_model.checkpoint import Checkpoint
from sestina_model.distillation.arithmetic import fast_products
from sestina_model.distillation.corpus import Corpus
from sestina_model.encoder import Layer
from sestina_model.sentence import pool

__all__ = ["Lesson", "Teacher", "find_teacher"]

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
        vectors: (B, T), the teacher's pooled vectors.
        texts, places: (n,) int64, which tokens of the batch the teacher has too: row and column in `ids`.
        states: For each of the teacher's layers, its states of those tokens, (n, T).
    """

    ids: Tensor
    vectors: Tensor
    texts: Tensor
    places: Tensor
    states: list[Tensor]


class Teacher:
    """Gives lessons on texts of a corpus.

    Args:
        checkpoint: On the device that computes.
        corpus: The texts as both read them.
    """

    def __init__(self, checkpoint: Checkpoint, corpus: Corpus) -> None:
        self._model, self._corpus = checkpoint.model, corpus
        self._device = checkpoint.model.encoder.tokens.weight.device

    @property
    def n_layers(self) -> int:
        """How many layers it has."""
        return len(self._model.encoder.layers)

    @property
    def width(self) -> int:
        """T, the width of its vectors and states."""
        return self._model.encoder.config.d_model

    def lesson(self, texts: npt.NDArray[np.int64]) -> Lesson:
        """The lesson on texts that are of one length to the student."""
        corpus, numbers = self._corpus, [int(text) for text in texts]
        ids = np.stack([corpus.student[number] for number in numbers])
        rows = [corpus.teacher[number] for number in numbers]
        padded = np.zeros((len(rows), max(map(len, rows))), dtype=np.int64)
        real = np.zeros(padded.shape, dtype=np.bool_)
        for at, row in enumerate(rows):
            padded[at, : len(row)], real[at, : len(row)] = row, True
        shared = [corpus.student_places[number] for number in numbers]
        among = self._tensor(np.repeat(np.arange(len(shared)), [len(places) for places in shared]))
        theirs = self._tensor(np.concatenate([corpus.teacher_places[number] for number in numbers]))
        mask = None if real.all() else self._tensor(real, np.bool_)
        with torch.no_grad(), fast_products(self._device):
            vectors, states = self._read(self._tensor(padded), mask, among, theirs)
        return Lesson(self._tensor(ids), vectors, among, self._tensor(np.concatenate(shared)), states)

    def _read(
        self, ids: Tensor, mask: Tensor | None, texts: Tensor, places: Tensor
    ) -> tuple[Tensor, list[Tensor]]:
        encoder = self._model.encoder
        x, states = encoder.embed(ids), []
        for layer in cast("Iterable[Layer]", encoder.layers):
            x = layer(x, mask)
            states.append(x[texts, places].float())
        if encoder.final_norm is not None:
            x = encoder.final_norm(x)
            states[-1] = x[texts, places].float()
        return pool(x.float(), mask, self._model.head.pooling), states

    def _tensor(self, values: npt.NDArray[np.generic], dtype: type[np.generic] = np.int64) -> Tensor:
        return torch.from_numpy(values.astype(dtype)).to(self._device)

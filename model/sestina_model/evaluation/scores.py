"""One figure for each task, computed through nothing but `encode`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from sestina_model._errors import FileError
from sestina_model.evaluation.files import Labels, Pairs, Retrieval, Task, read_task
from sestina_model.evaluation.logistic import LogisticRegression
from sestina_model.evaluation.metrics import accuracy, cosines, ndcg_at_10, spearman, unit_rows

__all__ = ["DEFAULT_TASKS", "STS_TASKS", "Score", "TextEncoder", "score"]

STS_TASKS = ("stsb-dev", "semrel24-eng-dev", "sickr-trial")
DEFAULT_TASKS = (*STS_TASKS, "cisi", "cacm", "npl", "banking77-train")

# Of each class every fifth text, counted in file order, is tested; the others train the probe.
_HELD_OUT = 5


class TextEncoder(Protocol):
    """Whatever turns texts into vectors."""

    def encode(self, texts: Sequence[str], /) -> npt.NDArray[np.float32]:
        """Texts -> (n, d), in the order given."""


@dataclass(frozen=True, slots=True)
class Score:
    """What an encoder reaches in a task.

    Attributes:
        task: The name of the file or folder.
        metric: "spearman" of cosine similarity and gold, "ndcg@10" or "accuracy".
        value: Times 100.
        n: How many pairs, queries or tested texts it is over.
    """

    task: str
    metric: str
    value: float
    n: int

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return asdict(self)


def score(encoder: TextEncoder, folder: Path, tasks: Iterable[str] | None = None) -> list[Score]:
    """Score an encoder in these tasks; in those of `DEFAULT_TASKS` that the folder holds, where None.

    Raises:
        FileError: Where a task's files are absent or not as they must be.
    """
    names = list(find_tasks(folder) if tasks is None else tasks)
    # All of them are read before the first is scored: a missing file should not cost an hour.
    read = [read_task(folder, name) for name in names]
    return [Score(name, *_measure(task, encoder)) for name, task in zip(names, read, strict=True)]


def find_tasks(folder: Path) -> list[str]:
    """Those of `DEFAULT_TASKS` that a folder holds.

    Raises:
        FileError: Where it holds none.
    """
    found = [name for name in DEFAULT_TASKS if (folder / name).is_dir() or (folder / f"{name}.tsv").is_file()]
    if not found:
        raise FileError(f"{folder} holds none of the tasks {', '.join(DEFAULT_TASKS)}; name the right folder")
    return found


def _measure(task: Task, encoder: TextEncoder) -> tuple[str, float, int]:
    match task:
        case Pairs():
            return _pairs(task, encoder)
        case Retrieval():
            return _retrieval(task, encoder)
        case Labels():
            return _labels(task, encoder)


def _pairs(task: Pairs, encoder: TextEncoder) -> tuple[str, float, int]:
    vectors = encoder.encode([*task.left, *task.right])
    half = len(task.left)
    return "spearman", 100 * spearman(cosines(vectors[:half], vectors[half:]), task.gold), half


def _retrieval(task: Retrieval, encoder: TextEncoder) -> tuple[str, float, int]:
    documents = list(task.documents)
    asked = [query for query in task.queries if query in task.gains]
    vectors = encoder.encode([*task.documents.values(), *(task.queries[query] for query in asked)])
    units = unit_rows(vectors)
    similar = units[len(documents) :] @ units[: len(documents)].T  # (queries, documents)
    best = np.argsort(-similar, axis=1, kind="stable")[:, :10]
    values = [
        ndcg_at_10([documents[place] for place in places], task.gains[query])
        for query, places in zip(asked, best, strict=True)
    ]
    return "ndcg@10", 100 * float(np.mean(values)), len(asked)


def _labels(task: Labels, encoder: TextEncoder) -> tuple[str, float, int]:
    held_out = np.zeros(len(task.texts), dtype=bool)
    for label in range(int(task.classes.max()) + 1):
        held_out[np.flatnonzero(task.classes == label)[_HELD_OUT - 1 :: _HELD_OUT]] = True
    if not held_out.any():
        raise FileError(f"no label has {_HELD_OUT} texts; classification needs that many to test one of them")
    vectors = unit_rows(encoder.encode(task.texts))
    probe = LogisticRegression(vectors[~held_out], task.classes[~held_out])
    predicted = probe.predict(vectors[held_out])
    return "accuracy", 100 * accuracy(predicted, task.classes[held_out]), int(held_out.sum())

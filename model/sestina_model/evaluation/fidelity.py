"""Retrieval fidelity: how far a student ranks passages as its teacher does. No labels are needed.

Of each query the ten passages that the teacher holds nearest are looked for among the student's ten
(overlap), and the student's ten are valued at the teacher's similarities (nDCG at 10).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sestina_model._errors import FileError
from sestina_model._files import file_sha256
from sestina_model.evaluation.metrics import unit_rows
from sestina_model.evaluation.sample import Sample
from sestina_model.evaluation.scores import TextEncoder

__all__ = ["Fidelity", "Group", "fidelity", "teacher_vectors"]

Floats = npt.NDArray[np.float64]

_TEN = 10
_LENGTHS = (16, 32, 64, 128)  # words: the edges of the groups of passages
_FREQUENCIES = (10, 100, 1000, 10000)  # the edges of the groups of queries, by their rarest word
_BLOCK = 256  # queries compared at a time


@dataclass(frozen=True, slots=True)
class Group:
    """The figure of some queries, or of some of the passages that the teacher found.

    Attributes:
        name: Which ones.
        overlap: The share of the teacher's ten that are among the student's ten, times 100.
        n: How many queries, or how many places among the teacher's ten, these are.
    """

    name: str
    overlap: float
    n: int


@dataclass(frozen=True, slots=True)
class Fidelity:
    """How far a student's rankings are its teacher's.

    Attributes:
        overlap: The share of the teacher's ten that are among the student's ten, times 100.
        ndcg: NDCG at 10 with the teacher's similarities as gains, times 100.
        n_queries, n_passages: What was searched, and in what.
        by_kind, by_frequency: Of queries: what they are, and how often their rarest word is in the corpus.
        by_length, by_source: Of the teacher's ten: the words of the passage, and the file it is from.
    """

    overlap: float
    ndcg: float
    n_queries: int
    n_passages: int
    by_kind: list[Group]
    by_frequency: list[Group]
    by_length: list[Group]
    by_source: list[Group]

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return asdict(self)


def teacher_vectors(
    path: Path, sample: Sample, cache: Path, open_teacher: Callable[[], TextEncoder]
) -> npt.NDArray[np.float32]:
    """The teacher's vectors of the sample's texts, (n, T), from the cache or else computed into it.

    Args:
        path: The teacher's folder: what is in it names the vectors.
        sample: Its texts are encoded.
        cache: The folder in which they are kept, in float16.
        open_teacher: Opens it, where it is needed at all.

    Raises:
        FileError: Where a file cannot be read or written.
    """
    if not path.is_dir():
        raise FileError(f"{path} is no folder; name the teacher's checkpoint or bundle")
    try:
        files = sorted(each for each in path.rglob("*") if each.is_file())
        contents = [[str(each.relative_to(path)), file_sha256(each)] for each in files]
    except OSError as error:
        raise FileError(f"{path} cannot be read: {error.strerror or error}") from error
    name = sha256(json.dumps([contents, sample.fingerprint]).encode()).hexdigest()[:16]
    kept = cache / f"teacher-{name}.npy"
    try:
        return np.load(kept).astype(np.float32)  # type: ignore[no-any-return]
    except FileNotFoundError:
        pass
    except (OSError, ValueError) as error:
        raise FileError(f"{kept} cannot be read ({error}); delete it") from error
    vectors = open_teacher().encode(sample.texts).astype(np.float16)
    temporary = kept.with_suffix(".tmp.npy")
    try:
        cache.mkdir(parents=True, exist_ok=True)
        np.save(temporary, vectors)
        temporary.replace(kept)
    except OSError as error:
        raise FileError(f"{kept} cannot be written: {error.strerror or error}") from error
    return vectors.astype(np.float32)


def fidelity(
    student: npt.NDArray[np.floating], teacher: npt.NDArray[np.floating], sample: Sample
) -> Fidelity:
    """Compare two encoders' vectors of `sample.texts`, (n, d) and (n, T), of any length but 0."""
    n = len(sample.queries)
    mine, theirs = unit_rows(student).astype(np.float32), unit_rows(teacher).astype(np.float32)
    found = np.empty((n, _TEN), dtype=bool)  # whether the student has it too, for each of the teacher's ten
    best = np.empty((n, _TEN), dtype=np.int64)  # the teacher's ten
    values = np.empty(n)
    for start in range(0, n, _BLOCK):
        rows = slice(start, min(n, start + _BLOCK))
        similar = theirs[rows] @ theirs[n:].T
        best[rows] = _nearest(similar)
        his = _nearest(mine[rows] @ mine[n:].T)
        found[rows] = (best[rows, :, None] == his[:, None, :]).any(2)
        ideal = _discounted(np.take_along_axis(similar, best[rows], 1))
        got = _discounted(np.take_along_axis(similar, his, 1))
        values[rows] = np.where(ideal > 0, got / np.where(ideal > 0, ideal, 1.0), 0.0)
    of_queries = found.mean(1)
    sources = np.array([passage.source for passage in sample.passages])
    lengths = np.array([len(passage.text.split()) for passage in sample.passages])
    rarest = np.array([query.rarest for query in sample.queries])
    return Fidelity(
        overlap=_percent(of_queries),
        ndcg=_percent(values),
        n_queries=n,
        n_passages=len(sample.passages),
        by_kind=_groups([query.kind for query in sample.queries], of_queries),
        by_frequency=_groups(_ranges(rarest, _FREQUENCIES), of_queries),
        by_length=_groups(_ranges(lengths, _LENGTHS)[best].ravel(), found.ravel()),
        by_source=_groups(sources[best].ravel(), found.ravel()),
    )


def _nearest(similar: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    """The columns of the ten largest values of each row, the largest first. (q, p) -> (q, 10)."""
    some = np.argpartition(-similar, _TEN - 1, axis=1)[:, :_TEN]
    order = np.argsort(-np.take_along_axis(similar, some, 1), axis=1, kind="stable")
    return np.take_along_axis(some, order, 1)


def _discounted(gains: npt.NDArray[np.float32]) -> Floats:
    """The discounted sum of each row's gains; a negative similarity gains nothing."""
    discounts = 1.0 / np.log2(np.arange(2, _TEN + 2))
    sums: Floats = np.maximum(gains, 0.0).astype(np.float64) @ discounts
    return sums


def _ranges(values: npt.NDArray[np.int64], edges: Sequence[int]) -> npt.NDArray[np.str_]:
    names = [f"0-{edges[0] - 1}"]
    names += [f"{low}-{high - 1}" for low, high in pairwise(edges)]
    names.append(f"{edges[-1]}-")
    return np.array(names)[np.searchsorted(edges, values, side="right")]


def _groups(names: Iterable[str], values: npt.NDArray[np.generic]) -> list[Group]:
    labels = np.array(list(names))
    return [
        Group(str(name), _percent(values[labels == name]), int((labels == name).sum()))
        for name in sorted(set(labels.tolist()), key=_order)
    ]


def _order(name: str) -> tuple[int, str]:
    """Ranges by where they begin, others by name."""
    begin = name.split("-")[0]
    return (int(begin) if begin.isdigit() else 0, name)


def _percent(values: npt.NDArray[np.generic]) -> float:
    return round(100 * float(values.astype(np.float64).mean()), 2)

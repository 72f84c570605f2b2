"""Evaluation sets as tab-separated files, read whole; whatever is wrong is one line that names it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sestina_model._errors import FileError

__all__ = ["Labels", "Pairs", "Retrieval", "Task", "read_task"]


class Pairs(NamedTuple):
    """Pairs of texts and how alike people find each pair."""

    gold: npt.NDArray[np.float64]
    left: list[str]
    right: list[str]


class Labels(NamedTuple):
    """Texts and the class of each, numbered in the order of first appearance."""

    classes: npt.NDArray[np.int64]
    texts: list[str]


class Retrieval(NamedTuple):
    """Documents, queries, and for each query the gains of the documents that were judged."""

    documents: dict[str, str]
    queries: dict[str, str]
    gains: dict[str, dict[str, float]]


Task = Pairs | Labels | Retrieval


def read_task(folder: Path, name: str) -> Task:
    """Read NAME.tsv (three columns: pairs; two: labels), or NAME/ with corpus, queries and qrels.

    Raises:
        FileError: Where it is absent, cannot be read, or a line is not as its task needs it.
    """
    if (folder / name).is_dir():
        return _read_retrieval(folder / name)
    path = folder / f"{name}.tsv"
    rows = list(_rows(path))
    if not rows:
        raise FileError(f"{path} is empty; fetch it again")
    if len(rows[0]) == 2:
        classes: dict[str, int] = {}
        numbers = [classes.setdefault(label, len(classes)) for label, _ in _wide(rows, 2, path)]
        return Labels(np.array(numbers), [text for _, text in rows])
    rows = list(_wide(rows, 3, path))
    gold = [_number(row[0], path, number) for number, row in enumerate(rows, 1)]
    return Pairs(np.array(gold), [row[1] for row in rows], [row[2] for row in rows])


def _read_retrieval(folder: Path) -> Retrieval:
    corpus, queries, qrels = (folder / f"{name}.tsv" for name in ("corpus", "queries", "qrels"))
    documents = {
        key: f"{title}. {text}" if title else text for key, title, text in _wide(_rows(corpus), 3, corpus)
    }
    asked = {row[0]: row[1] for row in _wide(_rows(queries), 2, queries)}
    gains: dict[str, dict[str, float]] = {}
    for number, (query, document, gain) in enumerate(_wide(_rows(qrels), 3, qrels), 1):
        if query not in asked or document not in documents:
            raise FileError(
                f"{qrels} line {number} judges query {query!r} and document {document!r}; both must be in "
                f"queries.tsv and corpus.tsv"
            )
        gains.setdefault(query, {})[document] = _number(gain, qrels, number)
    if not gains:
        raise FileError(f"{qrels} is empty; fetch it again")
    return Retrieval(documents, asked, gains)


def _rows(path: Path) -> Iterator[list[str]]:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise FileError(f"{path} cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise FileError(f"{path} is not UTF-8 (byte {error.start}); convert it to UTF-8") from None
    # Not splitlines: it also cuts at characters that texts may hold, such as U+2028.
    return (line.split("\t") for line in text.removesuffix("\n").split("\n") if line)


def _wide(rows: Iterator[list[str]] | list[list[str]], n_columns: int, path: Path) -> Iterator[list[str]]:
    for number, row in enumerate(rows, 1):
        if len(row) != n_columns:
            raise FileError(
                f"{path} line {number} has {len(row)} columns; it must have {n_columns}, with tabs between"
            )
        yield row


def _number(text: str, path: Path, line: int) -> float:
    try:
        return float(text)
    except ValueError:
        raise FileError(f"{path} line {line} has the score {text!r}; it must be a number") from None

"""From a label for each token to spans of a text, as transformers' pipeline has them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from sestina._arrays import Vectors
    from sestina._text.words import Piece

AGGREGATIONS = ("simple", "first", "max", "average")
_OUTSIDE = "O"


class Labelled(NamedTuple):
    """A token or a word with its label."""

    label: str
    score: float
    start: int
    end: int


def spans(
    pieces: Sequence[Piece], rows: Vectors, labels: Sequence[str], aggregation: str
) -> Iterator[Labelled]:
    """Neighbours of one label as one span; what is outside of all is left out.

    Args:
        pieces: The tokens of the text.
        rows: (S, labels) probabilities, of all tokens.
        labels: In their order. "B-" begins a span, "I-" and no such mark go on with one.
        aggregation: "simple": each token has its own label; else each word has one, that of its "first"
            token, of the token that is the surest ("max"), or of the "average" of all.
    """
    found: list[Labelled] = []
    for group in _groups(pieces, by_word=aggregation != "simple"):
        some = rows[[piece.place for piece in group]]
        row = _row(some, aggregation)
        best = int(row.argmax())
        found.append(Labelled(labels[best], float(row[best]), group[0].start, group[-1].end))
    for run in _runs(found):
        _, tag = _parts(run[0].label)
        # transformers names a span by what follows the first dash, and leaves out what is outside by that.
        name = run[0].label.split("-", 1)[-1]
        if _OUTSIDE not in (name, tag):
            score = float(np.mean(np.array([each.score for each in run], dtype=np.float32)))
            yield Labelled(name, score, run[0].start, run[-1].end)


def _groups(pieces: Sequence[Piece], *, by_word: bool) -> list[list[Piece]]:
    groups: list[list[Piece]] = []
    for piece in pieces:
        if by_word and groups and piece.continues:
            groups[-1].append(piece)
        else:
            groups.append([piece])
    return groups


def _row(rows: Vectors, aggregation: str) -> Vectors:
    if aggregation == "max":
        surest: Vectors = rows[int(rows.max(axis=1).argmax())]
        return surest
    if aggregation == "average":
        mean: Vectors = rows.mean(axis=0)
        return mean
    first: Vectors = rows[0]
    return first


def _runs(found: Sequence[Labelled]) -> list[list[Labelled]]:
    runs: list[list[Labelled]] = []
    for each in found:
        begins, tag = _parts(each.label)
        if runs and not begins and tag == _parts(runs[-1][-1].label)[1]:
            runs[-1].append(each)
        else:
            runs.append([each])
    return runs


def _parts(label: str) -> tuple[bool, str]:
    """Whether a label begins a span, and of what."""
    return label.startswith("B-"), label[2:] if label.startswith(("B-", "I-")) else label
